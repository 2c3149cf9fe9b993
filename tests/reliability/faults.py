"""File operations that fail, or at which the process dies: the n-th of those that a process makes.

Python's own file objects write below ``os.write``, so opened files are exchanged for ones that ask first.
"""

import builtins
import io
import os
import signal
from contextlib import contextmanager

WRITING = frozenset("wxa+")
NAMES = ("mkdir", "replace", "fsync", "unlink")  # and open, write


class Operations:
    """Counts operations; at number ``n``, from 1, calls ``at(do, half)`` instead of ``do()``.

    ``half`` does half of a write, and nothing for other operations. ``stays`` makes it happen from then on.
    """

    def __init__(self, n=0, at=None, *, stays=False):
        self.n, self.at, self.stays = n, at, stays
        self.seen = []

    def ask(self, operation, do, half=lambda: None):
        self.seen.append(operation)
        number = len(self.seen)
        hit = number == self.n or (self.stays and number > self.n and operation != "unlink")
        return self.at(do, half) if hit else do()


def failing(error_number):
    """An operation that does half its work and raises, as a write to a disk that is full."""

    def at(do, half):
        half()
        raise OSError(error_number, os.strerror(error_number))

    return at


def die_before(do, half):
    os.kill(os.getpid(), signal.SIGKILL)


def die_half_way(do, half):
    half()
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(do, half):
    do()
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def naming(what):
    """Operations on a path name it in their errors; those on an open file do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None and not isinstance(what, int):
            raise OSError(error.errno, error.strerror, str(what)) from error
        raise


@contextmanager
def injected(operations):
    """Send the operations of this process on files through ``operations.ask``."""
    originals = {name: getattr(os, name) for name in NAMES}
    opened = io.open

    class Asking(io.FileIO):
        def write(self, data):
            write = super().write
            return operations.ask("write", lambda: write(data), lambda: write(bytes(data)[: len(data) // 2]))

    def open_asking(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *rest):
        if not WRITING & set(mode) or isinstance(file, int):
            return opened(file, mode, buffering, encoding, errors, newline, *rest)
        with naming(file):
            raw = operations.ask("open", lambda: Asking(file, mode.replace("b", "").replace("t", "")))
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    def asking(name):
        def changed(*words, **more):
            with naming(words[0]):
                return operations.ask(name, lambda: originals[name](*words, **more))

        return changed

    for name in NAMES:
        setattr(os, name, asking(name))
    builtins.open = io.open = open_asking
    try:
        yield operations
    finally:
        builtins.open = io.open = opened
        for name, original in originals.items():
            setattr(os, name, original)
