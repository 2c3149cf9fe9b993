"""Text from anywhere, on a terminal: the one place through which all that bnexp prints goes.

Names of files, columns and classes, values of configurations, messages of errors may hold what a terminal obeys:
escape sequences, a carriage return, letters that turn the direction of writing. Such characters are written out, as
``\\x1b``, and not sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TextIO


def printable(text: str) -> str:
    """Return ``text`` as one line in which what is no printable character is written out, line breaks too.

    So are lone halves of surrogate pairs, which stand for bytes of a file's name that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def say(*lines: object, error: bool = False, end: str = "\n") -> None:
    """Print each of ``lines``, on a line of its own, to standard output or, of an ``error``, to standard error."""
    if lines:
        to = sys.stderr if error else sys.stdout
        print(*(printable(str(line)) for line in lines), sep="\n", end=end, file=to, flush=True)


@contextmanager
def harmless_streams() -> Iterator[None]:
    """Let nothing reach standard output and error that a terminal obeys, whoever prints it: libraries, tracebacks."""
    before = sys.stdout, sys.stderr
    make_streams_harmless()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def make_streams_harmless() -> None:
    """Do so for good."""
    sys.stdout, sys.stderr = _harmless(sys.stdout), _harmless(sys.stderr)


class OutputError(OSError):
    """What is printed cannot be written: the disk that it goes to is full, say."""


@contextmanager
def _naming_output() -> Iterator[None]:
    """Tell an error of the output from that of any other file."""
    try:
        yield
    except BrokenPipeError:  # whoever read it has gone, which is no fault
        raise
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


class HarmlessStream:
    """A stream of text that writes out whatever is neither printable nor the end of a line.

    Where standard error cannot be written, what goes there is lost: no run is to fail for a line about it.

    Attributes:
        under: the stream that it writes to.
    """

    def __init__(self, under: TextIO) -> None:
        self.under = under

    def write(self, text: str) -> int:
        """Write; return how many characters were given."""
        with self._guarded():
            self.under.write("\n".join(map(printable, text.split("\n"))))
        return len(text)

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        with self._guarded():
            self.under.flush()

    def _guarded(self) -> AbstractContextManager[None]:
        return suppress(OSError) if self.under is sys.__stderr__ else _naming_output()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of ``lines``."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Do and be everything else as the stream below."""
        return getattr(self.under, name)


def _harmless(stream: Any) -> Any:
    """Wrap a stream once; there may be none at all, under a scheduler say."""
    return stream if stream is None or isinstance(stream, HarmlessStream) else HarmlessStream(stream)
