"""How far long work has come, shown to whoever watches stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from bnexp.text import say

PATIENCE = 2.0  # seconds of silence before a log file is told what takes so long
LONG = 10.0  # seconds of silence before work that cannot be divided is named
INTERVAL = 15.0  # seconds between its further lines


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

    On a terminal the reports move a bar that disappears at the end. Elsewhere ``task`` is printed with the share that
    is done, but only if the work takes longer than ``PATIENCE``, and again after each ``INTERVAL``.
    """
    if sys.stderr.isatty():
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        from bnexp.console import Console

        name = TextColumn("{task.description}", markup=False)
        columns = (name, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            handle = bar.add_task(task, total=total)
            yield lambda units: bar.advance(handle, units)
        return

    done, due = 0, time.monotonic() + PATIENCE

    def advance(units: int) -> None:
        nonlocal done, due
        done += units
        if time.monotonic() > due and (total is None or done < total):
            share = f" {done / total:.0%}" if total else ""
            say(f"{task} …{share}", error=True)
            due = time.monotonic() + INTERVAL

    yield advance
