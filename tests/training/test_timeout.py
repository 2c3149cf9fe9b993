"""A time limit: when its alarm goes off, whose time it counts, and that nothing of it is left behind."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from bnexp.errors import ConfigError, TimedOut
from bnexp.training.timeout import TimeLimit


@pytest.fixture(autouse=True)
def _no_alarm_is_left():
    """After each test the alarm is off, and SIGALRM does what it did before."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_sleep_is_interrupted_once_the_time_is_over():
    limit = TimeLimit(0.1)
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"^not done after 0.1 s \(training.timeout\)$"), limit.running():
        time.sleep(30)
    assert 0.1 <= time.monotonic() - began < 25
    assert limit.left < 1e-3


def test_a_block_that_is_done_in_time_is_left_alone():
    limit = TimeLimit(60.0)
    with limit.running():
        time.sleep(0.05)
    assert 50 < limit.left <= 59.95


def test_no_limit_is_no_alarm():
    limit = TimeLimit(None)
    before = signal.getsignal(signal.SIGALRM)
    with limit.running(), limit.paused(), limit.running(3):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGALRM) is before
    assert limit.left == float("inf")


def test_an_error_in_the_block_turns_the_alarm_off():
    limit = TimeLimit(60.0)
    with pytest.raises(ZeroDivisionError), limit.running():
        raise ZeroDivisionError
    assert limit.left < 60


def test_the_clock_stands_still_in_a_pause_and_goes_on_behind_it():
    limit = TimeLimit(0.3)

    def work():
        with limit.running():
            time.sleep(0.1)
            with limit.paused():
                assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
                left = limit.left
                time.sleep(0.5)  # more than is left
                assert limit.left == left <= 0.2
            time.sleep(30)

    began = time.monotonic()
    with pytest.raises(TimedOut):
        work()
    assert 0.8 <= time.monotonic() - began < 25


def test_an_error_in_a_pause_leaves_the_clock_still():
    limit = TimeLimit(0.1)
    with limit.running():
        with pytest.raises(ZeroDivisionError), limit.paused():
            raise ZeroDivisionError
        time.sleep(0.3)
    assert limit.left > 0


def test_runs_that_share_a_block_spend_equal_parts_of_its_time():
    limit = TimeLimit(10.0)
    began = time.monotonic()
    with limit.running(4):
        seconds, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 39 < seconds <= 40
        assert interval == pytest.approx(1.0)
        time.sleep(0.4)
    assert 0.1 <= 10 - limit.left <= (time.monotonic() - began) / 4


def test_a_block_of_several_runs_ends_when_the_share_of_one_is_spent():
    limit = TimeLimit(0.1)
    began = time.monotonic()
    with pytest.raises(TimedOut), limit.running(3):
        time.sleep(30)
    assert 0.3 <= time.monotonic() - began < 25


def test_behind_a_pause_with_a_shared_block_in_it_the_time_is_the_runs_own_again():
    """So a run in lockstep: its own work, then steps in company, then its own work."""
    limit = TimeLimit(10.0)
    with limit.running():
        with limit.paused(), limit.running(4):
            pass
        left = limit.left
        seconds, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 9 < seconds <= 10
        time.sleep(0.2)
    assert left - limit.left >= 0.2


def test_time_that_was_spent_elsewhere_is_taken_off_and_the_alarm_goes_off_at_once_where_none_is_left():
    limit = TimeLimit(10.0)
    limit.spend(4.0)
    assert limit.left == 6.0
    limit.spend(100.0)
    began = time.monotonic()
    with pytest.raises(TimedOut, match="not done after 10 s"), limit.running():
        time.sleep(30)
    assert time.monotonic() - began < 25


def test_who_swallows_the_error_gets_it_again(monkeypatch):
    monkeypatch.setattr("bnexp.training.timeout.SECONDS_BETWEEN_REMINDERS", 0.05)
    swallowed = []

    def deaf():
        with TimeLimit(0.05).running():
            for _ in range(3):
                try:
                    time.sleep(30)
                except TimedOut as error:
                    swallowed.append(error)
            time.sleep(30)

    with pytest.raises(TimedOut):
        deaf()
    assert len(swallowed) == 3


def test_a_time_that_is_over_before_the_block_begins_leaves_no_alarm_behind():
    for _ in range(20):  # the alarm goes off somewhere between being set and the block
        with pytest.raises(TimedOut), TimeLimit(1e-6).running():
            time.sleep(30)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_outside_the_main_thread_a_limit_is_refused_and_none_is_not():
    found = []

    def work():
        with TimeLimit(None).running():
            found.append("no limit")
        try:
            with TimeLimit(5.0).running():
                found.append("a limit")
        except ConfigError as error:
            found.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [
        "no limit",
        "training.timeout=5.0 needs the main thread of a process, and this launcher trains in another; "
        "use training.timeout=null",
    ]
