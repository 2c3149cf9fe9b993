"""How far long work has come, told to whoever watches stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bnexp.text import say

PATIENCE = 2.0  # seconds of silence before a log file is told what takes so long


@contextmanager
def progress(task: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Give the block a function to report finished units to, of ``total`` (None: unknown).

    On a terminal the reports move a bar that disappears at the end; elsewhere ``task`` is printed once, and only if
    the work takes longer than ``PATIENCE``.
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

    start, told = time.monotonic(), False

    def advance(units: int) -> None:
        nonlocal told
        if not told and time.monotonic() - start > PATIENCE:
            say(f"{task} …", error=True)
            told = True

    yield advance
