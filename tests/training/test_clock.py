"""The time in which a process is stopped is not a run's. The processes here are really stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from bnexp.errors import TimedOut
from bnexp.training.clock import Clock
from bnexp.training.timeout import TimeLimit

STOPPED_BY_ITSELF = """
import os, signal, sys, threading, time
from bnexp.training.clock import clock
{setting}

def stop(seconds):
    helper = f"import os, signal, time; time.sleep({{seconds}}); os.kill({{os.getpid()}}, signal.SIGCONT)"
    import subprocess
    waiting = subprocess.Popen([sys.executable, "-c", helper])
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGSTOP)
    waiting.wait()

{code}
"""


def seconds_of(code, setting=""):
    """Run ``code`` in a process of its own; return the seconds that it prints: by bnexp's clock, and by the wall."""
    program = STOPPED_BY_ITSELF.format(code=code, setting=setting)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    own, wall = map(float, done.stdout.split())
    return own, wall


MEASURED = """
with clock.ticking():
    own, wall = clock.now(), time.monotonic()
    {work}
    print(clock.now() - own, time.monotonic() - wall)
"""


@pytest.mark.parametrize("work", ["stop(2.5)", "stop(2); stop(2)"], ids=["once", "twice"])
def test_a_stopped_process_stands_still(work):
    own, wall = seconds_of(MEASURED.format(work=work))
    stopped = 2 if work == "stop(2.5)" else 3
    assert wall - own >= stopped - 1.0  # the helper may start slowly, and the process stop late
    assert own > 0


def test_a_pause_in_the_middle_of_a_long_operation_is_seen():
    """The main thread is in one call of PyTorch when the process is stopped: no line of Python runs there."""
    work = (
        "threading.Thread(target=stop, args=(2.5,)).start(); x = torch.randn(400, 400); "
        "end = time.monotonic() + 3\n    while time.monotonic() < end: torch.linalg.matrix_power(x, 2**12)"
    )
    own, wall = seconds_of(MEASURED.format(work=work), setting="import torch; torch.set_num_threads(1)")
    assert wall - own >= 1.0


def test_a_sigcont_without_a_stop_is_no_pause():
    work = "[(os.kill(os.getpid(), signal.SIGCONT), time.sleep(0.01)) for _ in range(100)]"
    own, wall = seconds_of(MEASURED.format(work=work))
    assert own >= 0.9 * wall


def test_a_time_limit_does_not_count_the_stop():
    code = """
from bnexp.training.timeout import TimeLimit
limit = TimeLimit(2.0)
with clock.ticking(), limit.running():
    stop(3)
    print(0, 0)
    time.sleep(0.01)
"""
    seconds_of(code)  # it would have raised TimedOut


def test_a_time_limit_ends_a_run_after_a_stop_too():
    code = """
from bnexp.errors import TimedOut
from bnexp.training.timeout import TimeLimit
wall = time.monotonic()
try:
    with clock.ticking(), TimeLimit(1.5).running():
        stop(3)
        time.sleep(60)
except TimedOut:
    print(0, time.monotonic() - wall)
"""
    _, wall = seconds_of(code)
    assert 3 <= wall < 40


def test_signals_and_pipes_are_afterwards_as_before():
    before = signal.getsignal(signal.SIGCONT)
    free = os.pipe()
    for end in free:
        os.close(end)
    clock = Clock()
    with clock.ticking():
        with clock.ticking():
            assert signal.getsignal(signal.SIGCONT) is not before
        assert signal.getsignal(signal.SIGCONT) is not before
    assert signal.getsignal(signal.SIGCONT) is before
    assert signal.set_wakeup_fd(-1) == -1
    assert "clock" not in [thread.name for thread in threading.enumerate()]
    again = os.pipe()
    for end in again:
        os.close(end)
    assert again == free  # the lowest numbers: none is left open


def test_outside_the_main_thread_and_beside_an_event_loop_it_only_counts():
    clock, found = Clock(), []

    def count():
        with clock.ticking():
            start = clock.now()
            time.sleep(0.05)
            found.append(clock.now() - start)

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    try:
        count()
        assert signal.set_wakeup_fd(writing) == writing
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)
    assert all(0.05 <= seconds < 5 for seconds in found)
    assert len(found) == 2


def test_an_alarm_that_comes_too_early_is_set_again():
    """As after a stop: the clock says that time is left when the alarm goes off."""
    limit = TimeLimit(0.4)
    began = time.monotonic()
    with pytest.raises(TimedOut), limit.running():
        signal.raise_signal(signal.SIGALRM) or time.sleep(30)
    assert 0.3 <= time.monotonic() - began < 10


def test_seconds_of_a_run_leave_out_the_time_in_which_it_was_stopped(tmp_path):
    """The whole program, stopped for 3 s while it trains: the next row's seconds grow by less than half of them."""
    words = ["dataset=two_features", "dataset.num_examples=20000", "model=mlp", "training.epochs=100000"]
    words += ["training.device=cpu", "training.threads=1", "signals=off", f"output_dir={tmp_path}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bnexp", "train", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def seconds():
        """The seconds of all rows so far."""
        rows = [row for file in tmp_path.rglob("metrics.jsonl") for row in file.read_text().splitlines(keepends=True)]
        return [json.loads(row)["seconds"] for row in rows if row.endswith("\n")]

    def wait_for_rows(number):
        while len(seconds()) < number:
            assert process.poll() is None
            time.sleep(0.05)

    wait_for_rows(2)
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    before = len(seconds())
    process.send_signal(signal.SIGCONT)
    wait_for_rows(before + 2)
    process.terminate()
    process.wait()
    found = seconds()
    assert found[before] - found[before - 1] < 1.5
    (result,) = tmp_path.rglob("result.json")
    total = json.loads(result.read_text())["seconds"]["total"]
    assert found[-1] <= total <= found[-1] + 0.1 * len(found) + 1.5
