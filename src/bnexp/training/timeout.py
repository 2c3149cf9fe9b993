"""How a run ends that takes too long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bnexp.errors import ConfigError, TimedOut
from bnexp.training.clock import clock

SECONDS_BETWEEN_REMINDERS = 1.0

Handler = Callable[[int, FrameType | None], object] | int | None


class TimeLimit:
    """The seconds that a run may take; None for no limit. Its clock stands still while others are at work, and while
    the process is stopped (:mod:`bnexp.training.clock`).

    An alarm interrupts Python code, sleeping and waiting too; an operation inside PyTorch is waited for. Whoever
    swallows the exception gets it again every second.

    Attributes:
        left: seconds that the run still has.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.left = float("inf") if seconds is None else seconds
        self._started: float | None = None
        self._num_runs = 1
        self._handler: Handler = None

    @contextmanager
    def running(self, num_runs: int = 1) -> Iterator[None]:
        """Raise TimedOut in the block once the time is over; so many runs spend theirs in it in equal shares.

        Raises:
            ConfigError: outside the main thread, where there are no alarms.
        """
        try:
            self._start(num_runs)  # in here: the alarm may go off before it returns
            yield
        finally:
            self._stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the clock stand still in a part of a block, and go on behind it if that ends well."""
        num_runs = self._num_runs  # the clock may run for others meanwhile
        self._stop()
        yield
        self._start(num_runs)

    def spend(self, seconds: float) -> None:
        """Take so much off what is left."""
        self.left = max(1e-6, self.left - seconds)  # an alarm in 0 seconds would be none

    def _start(self, num_runs: int) -> None:
        if self.seconds is None:
            return
        if threading.current_thread() is not threading.main_thread():
            raise ConfigError(
                f"training.timeout={self.seconds} needs the main thread of a process, and this launcher trains in "
                "another; use training.timeout=null"
            )
        self._started, self._num_runs = clock.now(), num_runs
        self._handler = signal.signal(signal.SIGALRM, self._raise_timed_out)
        signal.setitimer(signal.ITIMER_REAL, self.left * num_runs, SECONDS_BETWEEN_REMINDERS)

    def _stop(self) -> None:
        if self._started is None:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        self.spend((clock.now() - self._started) / self._num_runs)
        self._started = None

    def _raise_timed_out(self, number: int, frame: FrameType | None) -> None:
        assert self._started is not None
        left = self.left * self._num_runs - (clock.now() - self._started)
        if left > 0:  # the process was stopped for a while, and the alarm does not know of it
            signal.setitimer(signal.ITIMER_REAL, left, SECONDS_BETWEEN_REMINDERS)
            return
        raise TimedOut(f"not done after {self.seconds:g} s (training.timeout)")
