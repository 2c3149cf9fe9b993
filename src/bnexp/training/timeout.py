"""How a run ends that takes too long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bnexp.errors import ConfigError, TimedOut

SECONDS_BETWEEN_REMINDERS = 1.0


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TimedOut in the block once it has taken so many ``seconds``, whatever it is doing; None for no limit.

    An alarm interrupts Python code, sleeping and waiting too; an operation inside PyTorch is waited for. Whoever
    swallows the exception gets it again every second.

    Raises:
        ConfigError: outside the main thread, where there are no alarms.
    """
    if seconds is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            f"training.timeout={seconds} needs the main thread of a process, and this launcher trains in another; "
            "use training.timeout=null"
        )

    def raise_timed_out(number: int, frame: FrameType | None) -> None:
        raise TimedOut(f"not done after {seconds:g} s (training.timeout)")

    before = signal.signal(signal.SIGALRM, raise_timed_out)
    signal.setitimer(signal.ITIMER_REAL, seconds, SECONDS_BETWEEN_REMINDERS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
