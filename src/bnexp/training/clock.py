"""The clock of a run: it stands still while the process is stopped (Ctrl-Z, SIGSTOP) or the machine asleep.

The system's steady clock leaves sleep out by itself, on Linux and macOS, but not the time in which a process is
stopped. So a thread looks at the clock ten times a second, and when a SIGCONT wakes the process, what has passed since
the last look was the pause.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS_BETWEEN_BEATS = 0.1
SHORTEST_PAUSE = 0.3
"""Seconds; what is shorter counts as time of the run: a SIGCONT may come without a pause, too."""


class Clock:
    """Seconds in which this process could run. There is one, :data:`clock`, because signals are the whole process's."""

    def __init__(self) -> None:
        self._paused = 0.0
        self._beat = 0.0
        self._num_users = 0
        self._lock = threading.RLock()  # a signal's handler may ask for the time while somebody else does
        self._watch: _Watch | None = None

    def now(self) -> float:
        """Return the seconds since some moment, without those of the pauses within :meth:`ticking`."""
        with self._lock:
            self._look()
            return time.perf_counter() - self._paused

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Watch for pauses in a block. Blocks may overlap; outside the main thread they watch for nothing."""
        self._num_users += 1
        if self._watch is None and threading.current_thread() is threading.main_thread():
            self._beat = time.perf_counter()
            self._watch = _Watch.start(self)
        try:
            yield
        finally:
            self._num_users -= 1
            if self._num_users == 0 and self._watch is not None:
                self.now()
                self._watch.end()
                self._watch = None

    def beat(self) -> None:
        """Note the time."""
        with self._lock:
            self._look()

    def _look(self) -> None:
        if self._watch is None:
            return
        # Should the process be stopped between two of these lines, the next look still finds the pause.
        before = time.perf_counter()
        if not self._watch.was_continued():
            self._beat = before
            return
        after = time.perf_counter()
        if after - self._beat > SHORTEST_PAUSE:
            self._paused += after - self._beat
        self._beat = after


class _Watch:
    """A thread that lets a clock beat, and the pipe into which Python writes the numbers of signals as they come."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.reading, self.writing = os.pipe()
        for end in (self.reading, self.writing):
            os.set_blocking(end, False)
        self.handler = signal.signal(signal.SIGCONT, _ignore)  # without one, nothing is written
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._beat, name="clock", daemon=True)

    @classmethod
    def start(cls, clock: Clock) -> _Watch | None:
        """Return one at work; None where somebody else has taken the pipe of the process (an event loop, say)."""
        others = signal.set_wakeup_fd(-1)
        if others != -1:
            signal.set_wakeup_fd(others)
            return None
        watch = cls(clock)
        signal.set_wakeup_fd(watch.writing, warn_on_full_buffer=False)
        watch.thread.start()
        return watch

    def was_continued(self) -> bool:
        """Whether a SIGCONT has come since the last call."""
        try:
            return signal.SIGCONT in os.read(self.reading, 4096)
        except BlockingIOError:
            return False

    def end(self) -> None:
        """Give the signal and the pipe back."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCONT, signal.SIG_DFL if self.handler is None else self.handler)
        self.is_over.set()
        os.write(self.writing, b"\0")  # wakes the thread
        self.thread.join()
        os.close(self.reading)
        os.close(self.writing)

    def _beat(self) -> None:
        while not self.is_over.is_set():
            select.select([self.reading], [], [], SECONDS_BETWEEN_BEATS)
            self.clock.beat()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the pipe has it."""


clock = Clock()
