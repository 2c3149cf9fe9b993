"""How a study goes on, told from its run folders alone: whatever trains the runs, wherever."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bnexp.studies.plan import Job
from bnexp.text import say
from bnexp.training.record import FINISHED, RunFolder, last_row
from bnexp.training.seal import read_result

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Tally:
    """How many runs are at what, of those that have to be run.

    Attributes:
        share: of all their steps, those that are done.
        seconds_left: None where that cannot be told yet.
    """

    total: int
    done: int
    running: int
    failed: int
    diverged: int
    share: float
    seconds_left: float | None

    def __str__(self) -> str:
        parts = [f"{self.done} of {self.total} runs done", f"{self.running} running"]
        parts += [f"{count} {word}" for count, word in ((self.diverged, "diverged"), (self.failed, "failed")) if count]
        if self.seconds_left is not None:
            parts.append(f"{in_words(self.seconds_left)} left")
        return ", ".join(parts)


class Watch:
    """Looks at the folders of the jobs that have to be run."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.folders = [RunFolder(job.path) for job in jobs]
        self.attempts = [
            folder.another() if job.composed.config.get("rerun") else folder
            for folder, job in zip(self.folders, jobs, strict=True)
        ]
        # What an earlier attempt left behind says nothing about this one.
        self.before = [
            (_stamp(attempt.config), _stamp(folder.result))
            for attempt, folder in zip(self.attempts, self.folders, strict=True)
        ]
        self.ended: dict[int, str] = {}
        self.steps_before = sum(self._steps())
        self.started = time.monotonic()

    def look(self) -> Tally:
        """Read the folders and count."""
        running = 0
        for index, folder in enumerate(self.folders):
            if index in self.ended:
                continue
            config, result = self.before[index]
            if _stamp(folder.result) not in (None, result) and (found := read_result(folder)) is not None:
                self.ended[index] = str(found["status"])
            elif _stamp(self.attempts[index].config) not in (None, config):
                running += 1
        counts = [*self.ended.values()]
        steps, total = sum(self._steps()), sum(job.num_steps for job in self.jobs)
        return Tally(
            total=len(self.jobs),
            done=sum(status in FINISHED for status in counts),
            running=running,
            failed=counts.count("failed"),
            diverged=counts.count("diverged"),
            share=steps / total,
            seconds_left=self._seconds_left(steps, total),
        )

    def _steps(self) -> list[int]:
        return [
            job.num_steps if index in self.ended else _last_step(attempt.metrics)  # a run may have ended early
            for index, (job, attempt) in enumerate(zip(self.jobs, self.attempts, strict=True))
        ]

    def _seconds_left(self, steps: int, total: int) -> float | None:
        """As long for each step to come as for each one since the start."""
        trained = steps - self.steps_before
        return (time.monotonic() - self.started) * (total - steps) / trained if trained > 0 else None


class Display(Protocol):
    """Shows a tally to a person."""

    def show(self, tally: Tally) -> None:
        """Show how things stand."""

    def say(self, line: str) -> None:
        """Tell something."""


class Lines:
    """A line every ten seconds, for pipes and logs."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def show(self, tally: Tally) -> None:
        """Print a line if the last one is old enough."""
        if time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            self.say(str(tally))

    def say(self, line: str) -> None:
        """Print a line on stderr."""
        say(line, error=True)


class Bar:
    """A bar on a terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from bnexp.console import Console

        columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.progress.add_task("starting", total=None)

    def show(self, tally: Tally) -> None:
        """Move the bar."""
        self.progress.update(self.task, description=str(tally), total=1.0, completed=tally.share, refresh=True)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.progress.console.print(line)


@contextmanager
def display() -> Iterator[Display]:
    """Show a bar where stderr is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    bar = Bar()
    with bar.progress:
        yield bar


@contextmanager
def watching(jobs: Sequence[Job], shown: Display) -> Iterator[None]:
    """Show how the jobs go on, from a thread, until the block has ended."""
    watch, stop = Watch(jobs), threading.Event()

    def keep_looking() -> None:
        while not stop.wait(SECONDS_BETWEEN_LOOKS):
            shown.show(watch.look())

    thread = threading.Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        shown.show(watch.look())


def in_words(seconds: float) -> str:
    """Write a time as 45 s, 3 min 20 s or 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _last_step(metrics: Path) -> int:
    return int(last_row(metrics).get("step") or 0)


def _stamp(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None
