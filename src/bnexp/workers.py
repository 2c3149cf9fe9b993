"""Runs side by side on this machine, in lasting processes that have PyTorch and the data in memory already.

The workers are forked from a server that has done nothing but import bnexp, while the process that called still read
its configurations. They are handed configurations that are composed and checked, and know no Hydra.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from bnexp.errors import Terminated
from bnexp.sockets import make_room
from bnexp.text import make_streams_harmless

Run = tuple[dict[str, Any], Mapping[str, str]]
"""A composed configuration, and the name of the choice of each group."""

Told = Callable[[int, dict[str, Any]], None]
"""Is told the number and the result of each run that has ended."""

CONTEXT = multiprocessing.get_context("forkserver")
SECONDS_TO_END = 5.0
"""What the workers have, all together, to write down how far their runs are when they are to stop."""


@contextmanager
def warmed_up() -> Iterator[None]:
    """Start the server, so that it imports on another core while the block finds out what there is to train."""
    make_room()
    CONTEXT.set_forkserver_preload(["bnexp.preload"])
    forkserver.ensure_running()
    try:
        yield
    finally:
        # Left alone, it would import to the end and then take everything down, and whoever reads this process's output
        # through a pipe would wait for it.
        server: Any = forkserver._forkserver
        if server._forkserver_pid is not None:
            os.kill(server._forkserver_pid, signal.SIGKILL)
            server._stop()


def train_side_by_side(runs: Sequence[Run], at_a_time: int, told: Told) -> None:
    """Train the runs, so many at a time; each process takes its share of the cores.

    A run whose process dies has failed, and the others go on. The processes end with this one, however it ends.
    """
    make_room()
    waiting = deque(enumerate(runs))
    busy: dict[Connection, int] = {}
    with _workers(at_a_time) as workers:
        while waiting or busy:
            while waiting and len(busy) < at_a_time:
                number, run = waiting.popleft()
                connection = workers.idle()
                with suppress(OSError):  # it has died since: its result says so
                    connection.send(run)
                busy[connection] = number
            ready = wait([*busy])
            for connection in [connection for connection in busy if connection in ready]:
                told(busy.pop(connection), workers.result(connection))


class _Workers:
    """Starts processes as they are needed, and knows which of them wait for work."""

    def __init__(self, at_a_time: int) -> None:
        self.at_a_time = at_a_time
        self.processes: dict[Connection, multiprocessing.process.BaseProcess] = {}
        self.waiting: list[Connection] = []

    def idle(self) -> Connection:
        """Return the pipe to a process that waits for a run."""
        while self.waiting:
            connection = self.waiting.pop()
            if self.processes[connection].is_alive():
                return connection
            self.processes.pop(connection).join()
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_serve, args=(theirs, self.at_a_time), daemon=True)
        process.start()
        theirs.close()  # so that the pipe breaks when the process dies
        self.processes[ours] = process
        return ours

    def result(self, connection: Connection) -> dict[str, Any]:
        """Return what a process has to say of its run; it may have died over it."""
        try:
            found: dict[str, Any] = connection.recv()
        except (EOFError, OSError):
            process = self.processes.pop(connection)
            process.join()
            return {"status": "failed", "error": f"its process died (exit code {process.exitcode})"}
        self.waiting.append(connection)
        return found

    def end(self) -> None:
        """Stop all processes; a run that is under way writes down that it was interrupted."""
        for process in self.processes.values():
            process.terminate()
        deadline = time.monotonic() + SECONDS_TO_END
        for process in self.processes.values():
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()


@contextmanager
def _workers(at_a_time: int) -> Iterator[_Workers]:
    workers = _Workers(at_a_time)
    try:
        yield workers
    finally:
        workers.end()


def _serve(connection: Connection, at_a_time: int) -> None:
    """Train what comes out of the pipe, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; it is for the parent to stop its workers
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    make_streams_harmless()
    from bnexp.training.device import share_machine

    with suppress(EOFError, Terminated):
        share_machine(at_a_time)
        while True:
            config, choices = connection.recv()
            connection.send(_train(config, choices))


def _train(config: dict[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    from bnexp.experiment import prepare
    from bnexp.run import run
    from bnexp.training.progress import Silence

    try:
        return run(prepare(config, choices), Silence)
    except Exception as error:
        return failure(error)


def failure(error: Exception) -> dict[str, Any]:
    """Return the result of a run that did not get as far as to have one: what was found to work has changed since, or
    the disk is full.
    """
    return {"status": "failed", "error": f"{type(error).__name__}: {error}".splitlines()[0]}


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # as if killed too: the same command resumes from the last checkpoint


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
