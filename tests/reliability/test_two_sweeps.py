"""Two sweeps in one folder: no run is trained by both at once, and nothing of one is overwritten by the other."""

import json
import os
import time
from itertools import combinations

import pytest
from tests.reliability.forked import KILLED, exit_code, start
from tests.reliability.small import ROWS, composed, only_run, rows, train, with_seed

from bnexp.analysis.states import find_states
from bnexp.training.progress import Silence

SEEDS = range(3)


class Diary(Silence):
    """Notes when this process trains which run: one line, one write."""

    file = None

    def __init__(self, name):
        self.name = name

    def note(self, **what):
        line = json.dumps({"run": self.name, "pid": os.getpid(), "time": time.monotonic(), **what}) + "\n"
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    def __exit__(self, *_):
        self.note(event="end")

    def start(self, step, num_steps, batch_size):
        self.note(event="begin", step=step)


def sweep(folder, moment, one):
    """Train all seeds from ``moment`` on; note what was trained when."""
    Diary.file = folder / "diary.jsonl"
    time.sleep(max(0.0, moment - time.monotonic()))
    for seed in SEEDS:
        assert train(folder, with_seed(one, seed), Diary)["status"] in ("done", "running")


def race(folder):
    """Two sweeps that start at one moment; afterwards every run is whole and was trained once."""
    folder.mkdir()
    moment = time.monotonic() + 0.15
    processes = [start(sweep, folder, moment, composed(*ROWS)) for _ in range(2)]
    assert [exit_code(process) for process in processes] == [0, 0]
    lines = [json.loads(line) for line in (folder / "diary.jsonl").read_text().splitlines()]
    begun = [line for line in lines if line["event"] == "begin"]
    assert sorted(line["run"] for line in begun) == sorted({line["run"] for line in begun})
    assert len(begun) == len(SEEDS)
    assert {line["step"] for line in begun} == {0}
    for one, other in combinations(begun, 2):
        assert (one["run"], one["pid"]) != (other["run"], other["pid"])
    assert [state.status for state in find_states([folder])] == ["done"] * len(SEEDS)
    return {line["pid"] for line in begun}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The rows of each run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("alone")
    for seed in SEEDS:
        train(folder / str(seed), with_seed(composed(*ROWS), seed))
    return {only_run(folder / str(seed)).path.name: rows(folder / str(seed)) for seed in SEEDS}


def assert_rows_as_alone(folder, alone):
    for name, expected in alone.items():
        [run] = folder.glob(f"*/{name}")
        recorded = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [{key: value for key, value in row.items() if key != "seconds"} for row in recorded] == expected


def test_two_sweeps_that_start_together_share_the_runs(tmp_path, alone):
    for number in range(4):
        race(tmp_path / str(number))
        assert_rows_as_alone(tmp_path / str(number), alone)


@pytest.mark.slow
def test_twenty_aligned_starts(tmp_path, alone):
    shared = [race(tmp_path / str(number)) for number in range(20)]
    for number in range(20):
        assert_rows_as_alone(tmp_path / str(number), alone)
    assert any(len(pids) == 2 for pids in shared)  # or the sweeps never met


class Stuck(Silence):
    """Stops for ever at the second evaluation."""

    def __init__(self, name):
        self.num_rows = 0

    def row(self, row):
        self.num_rows += 1
        if self.num_rows == 2:
            time.sleep(600)


def test_the_lock_of_a_killed_process_is_free_and_that_of_a_living_one_is_not(tmp_path):
    process = start(train, tmp_path, composed(*ROWS), Stuck)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (
        (states := find_states([tmp_path])) and states[0].row and states[0].status == "running"
    ):
        time.sleep(0.01)
    assert states[0].owner.pid == process.pid
    assert train(tmp_path, composed(*ROWS))["status"] == "running"
    process.kill()
    assert exit_code(process) == KILLED
    assert [state.status for state in find_states([tmp_path])] == ["interrupted"]
    assert train(tmp_path, composed(*ROWS))["status"] == "done"
    assert not only_run(tmp_path).owner.exists()
