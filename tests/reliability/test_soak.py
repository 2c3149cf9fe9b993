"""Lasting processes stay as they are, however many runs they train: open files, memory, no process left over."""

import multiprocessing
import time
from pathlib import Path

import pytest
from tests.reliability.small import ROWS, composed

from bnexp.workers import train_side_by_side, warmed_up

AT_A_TIME = 2


def num_files(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def kilobytes(pid):
    """Resident memory."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


def soak(folder, num_runs):
    """Train runs that differ in their seeds; return the open files and the memory of each process after each run."""
    one = composed(*ROWS, "training.epochs=2")
    runs = [(one.config | {"seed": seed, "output_dir": str(folder)}, one.choices) for seed in range(num_runs)]
    seen, statuses = {}, []

    def told(number, result):
        statuses.append(result["status"])
        for process in multiprocessing.active_children():
            seen.setdefault(process.pid, []).append((num_files(process.pid), kilobytes(process.pid)))

    with warmed_up():
        train_side_by_side(runs, AT_A_TIME, told)
    assert statuses == ["done"] * num_runs
    return seen


def assert_no_child_is_left(pids):
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_thirty_runs_leave_the_open_files_as_they_were(tmp_path):
    seen = soak(tmp_path, 30)
    assert len(seen) == AT_A_TIME
    for after in seen.values():
        files = [number for number, _ in after[4:]]  # what is imported late is open by then
        assert max(files) - min(files) <= 5
    assert_no_child_is_left(seen)


@pytest.mark.slow
def test_a_thousand_runs_leave_files_and_memory_as_they_were(tmp_path):
    seen = soak(tmp_path, 1000)
    assert len(seen) == AT_A_TIME
    for after in seen.values():
        files = [number for number, _ in after[100:]]
        memory = [size for _, size in after[100:]]
        assert max(files) - min(files) <= 5
        # Each process is looked at after every run of both.
        assert (memory[-1] - memory[0]) / len(memory) * AT_A_TIME <= 150
    assert_no_child_is_left(seen)
