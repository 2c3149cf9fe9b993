"""Telling a person how a run goes on: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from bnexp.text import say
from bnexp.training.record import Row

LONG_BAR, SHORT_BAR, SHORT_NAME = 24, 8, 8
SCORES = len("loss 0.0000, val accuracy 0.0000")
SPEED = len("100,000 examples/s")
TIME = len("0:00:00")


class Reporter(Protocol):
    """Who is told how a run goes on."""

    def start(self, step: int, num_steps: int, batch_size: int) -> None:
        """Training begins, or goes on, after ``step`` of ``num_steps`` steps."""

    def step(self, step: int) -> None:
        """``step`` steps are done."""

    def row(self, row: Row) -> None:
        """An evaluation is done."""

    def say(self, line: str) -> None:
        """Something happened that the user should know."""


class PlainLines:
    """A line at most every few seconds, for logs and pipes."""

    def __init__(self, name: str, seconds_between: float = 5.0) -> None:
        self.name = name
        self.seconds_between = seconds_between
        self.num_steps = 0
        self.last = time.monotonic()

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def start(self, step: int, num_steps: int, batch_size: int) -> None:
        """Say where a resumed run goes on."""
        self.num_steps = num_steps
        if step:
            self.say(f"{self.name}: goes on after step {step} of {num_steps}")

    def step(self, step: int) -> None:
        """Say nothing."""

    def row(self, row: Row) -> None:
        """Print the evaluation if the last line is old enough."""
        if time.monotonic() - self.last < self.seconds_between:
            return
        self.last = time.monotonic()
        self.say(f"{self.name}: epoch {row['epoch']:g}, step {row['step']}/{self.num_steps}, {scores(row)}")

    def say(self, line: str) -> None:
        """Print a line on stderr."""
        say(line, error=True)


class Layout(NamedTuple):
    """What shares the terminal's line with the numbers: letters of the name and the bar, and whether the speed does."""

    name: int
    bar: int
    has_speed: bool

    @classmethod
    def within(cls, room: int, name: int) -> Self:
        """Return what fits into ``room`` beside a name of so many letters: the speed is the first to go."""
        if room >= name + 1 + LONG_BAR + 1 + SPEED + 1:
            return cls(name, LONG_BAR, True)
        if room >= name + 1 + LONG_BAR + 1:
            return cls(name, LONG_BAR, False)
        if room >= SHORT_NAME + 1 + SHORT_BAR + 1:
            return cls(min(name, room - SHORT_BAR - 2), SHORT_BAR, False)
        return cls(min(name, room - 1) if room > SHORT_NAME else 0, 0, False)


class Bar:
    """A progress bar with loss, accuracy, examples a second and the time left.

    On a narrow terminal the numbers stay whole; of the name its end is shown, the fingerprint and the seed.
    """

    SECONDS_BETWEEN = 0.1

    def __init__(self, name: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from bnexp.console import Console

        self.name = name
        self.meter = BarColumn(bar_width=LONG_BAR)
        self.columns = {
            "name": TextColumn("{task.fields[name]}", markup=False),
            "bar": self.meter,
            "steps": TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            "scores": TextColumn("{task.fields[scores]}"),
            "speed": TextColumn("{task.fields[speed]}"),
            "left": TimeRemainingColumn(compact=True),
        }
        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task(name, total=1, scores="", speed="", name="")
        self._lay_out()
        self.batch_size = 0
        self.last_time = 0.0
        self.last_step = 0

    def __enter__(self) -> Self:
        """Show the bar."""
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self.bar.stop()

    def start(self, step: int, num_steps: int, batch_size: int) -> None:
        """Set the length, and say where a resumed run goes on."""
        if step:
            self.say(f"goes on after step {step} of {num_steps}")
        self.batch_size, self.last_step, self.last_time = batch_size, step, time.monotonic()
        self.bar.update(self.task, total=num_steps, completed=step)
        self._lay_out()

    def step(self, step: int) -> None:
        """Move on, ten times a second at most: a step must not wait for the terminal."""
        now = time.monotonic()
        if now - self.last_time >= self.SECONDS_BETWEEN:
            speed = (step - self.last_step) * self.batch_size / (now - self.last_time)
            self.bar.update(self.task, completed=step, speed=f"{speed:,.0f} examples/s")
            self._lay_out()
            self.last_time, self.last_step = now, step

    def row(self, row: Row) -> None:
        """Show the scores; the evaluation's own time does not count in the speed."""
        self.bar.update(self.task, completed=row["step"], scores=scores(row))
        self._lay_out()
        self.last_time = time.monotonic()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.bar.console.print(line)

    def _lay_out(self) -> None:
        """Give the numbers their room first, steps and time before the scores; the width may be another one by now."""
        task = self.bar.tasks[0]
        numbers = len(f"{task.total:.0f}") * 2 + len("/ steps ") + max(SCORES, len(task.fields["scores"])) + 1 + TIME
        room = self.bar.console.width - numbers
        found = Layout.within(room, len(self.name))
        self.meter.bar_width = found.bar
        shown = {"name": found.name, "bar": found.bar, "speed": found.has_speed, "scores": room >= 0}
        self.bar.columns = tuple(column for key, column in self.columns.items() if shown.get(key, True))
        cut = len(self.name) - found.name
        self.bar.update(self.task, name=f"…{self.name[cut + 1 :]}" if cut else self.name)


class Silence:
    """Nobody is told: a study shows all of its runs together."""

    def __init__(self, name: str) -> None:
        """Forget the name."""

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def start(self, step: int, num_steps: int, batch_size: int) -> None:
        """Say nothing."""

    def step(self, step: int) -> None:
        """Say nothing."""

    def row(self, row: Row) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""


def scores(row: Row) -> str:
    """The numbers of an evaluation in a few words."""
    loss, val_accuracy = row["train/loss"], row["val/accuracy"]
    score = "no score" if val_accuracy is None else f"val accuracy {val_accuracy:.4f}"
    return f"loss {float('nan') if loss is None else loss:.4f}, {score}"


def reporter(name: str) -> Bar | PlainLines:
    """Return a bar where stderr is a terminal, else plain lines."""
    return Bar(name) if sys.stderr.isatty() else PlainLines(name)
