"""How far long work has come, shown to whoever watches stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Timer

from bnexp.text import say

PATIENCE = 2.0  # seconds of silence before work counts as long
LONG = 10.0  # seconds of silence before work that cannot be divided is named
INTERVAL = 15.0  # seconds between the lines of a log


@contextmanager
def announced(task: str) -> Iterator[None]:
    """Print ``task`` while the block runs if it takes longer than :data:`LONG`: work that cannot say how far it is."""
    timer = Timer(LONG, say, (f"{task} …",), {"error": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def progress(task: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Give the block a function to report finished units to, of ``total`` (None: unknown).

    Work that takes less than ``PATIENCE`` is silent. Then the reports move a bar on a terminal, which disappears at the
    end; elsewhere ``task`` is printed with the share that is done, and again after each ``INTERVAL``.
    """
    with ExitStack() as stack:
        yield (_bar if sys.stderr.isatty() else _lines)(task, total, stack)


def _bar(task: str, total: int | None, stack: ExitStack) -> Callable[[int], None]:
    done, due = 0, time.monotonic() + PATIENCE
    move: Callable[[int], None] | None = None

    def advance(units: int) -> None:
        nonlocal done, move
        done += units
        if move is None and time.monotonic() > due:
            move = _open_bar(task, total, stack)
            move(done)
        elif move is not None:
            move(units)

    return advance


def _open_bar(task: str, total: int | None, stack: ExitStack) -> Callable[[int], None]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from bnexp.console import Console

    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    handle = bar.add_task(task, total=total)
    return lambda units: bar.advance(handle, units)


def _lines(task: str, total: int | None, stack: ExitStack) -> Callable[[int], None]:
    done, due = 0, time.monotonic() + PATIENCE

    def advance(units: int) -> None:
        nonlocal done, due
        done += units
        if time.monotonic() > due and (total is None or done < total):
            share = f" {done / total:.0%}" if total else ""
            say(f"{task} …{share}", error=True)
            due = time.monotonic() + INTERVAL

    return advance
