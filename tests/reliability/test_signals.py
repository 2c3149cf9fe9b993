"""SIGTERM and Ctrl-C end a command cleanly at any moment: status, checkpoint, no process left."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import command
from tests.reliability.forked import exit_code, start

from bnexp.analysis.states import find_states
from bnexp.cli.main import main
from bnexp.studies.definition import read_study
from bnexp.studies.job import obey
from bnexp.studies.launch import choose_launcher
from bnexp.studies.plan import make_plan
from bnexp.training.checkpoint import load_checkpoint

EXIT = {signal.SIGINT: 130, signal.SIGTERM: 143}
WORDS = ("train", "model.width=4", "training.device=cpu", "training.threads=1", "training.eval_every=0.2")


def run_main(folder, *words):
    """The command line, in a process that was forked from one without output."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    status = 130  # a shell's word for a process that Ctrl-C has ended; multiprocessing would say 1
    with contextlib.suppress(KeyboardInterrupt):
        with (folder / "stderr.txt").open("w") as sys.stderr, (folder / "stdout.txt").open("w") as sys.stdout:
            status = main(words)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


def wait_for(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def checkpoints(folder):
    return list(folder.glob("outputs/*/*/checkpoint.pt"))


def statuses(folder):
    """The states of all runs; every checkpoint loads."""
    for checkpoint in checkpoints(folder):
        assert load_checkpoint(checkpoint)["progress"]["step"] > 0
    return [state.status for state in find_states([folder / "outputs"])]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_at_a_random_moment_says_so_and_keeps_its_checkpoint(tmp_path, number):
    draws = random.Random(int(number))
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        process = start(run_main, folder, *WORDS, "training.epochs=1000")
        wait_for(lambda folder=folder: checkpoints(folder))
        time.sleep(draws.uniform(0, 0.2))
        os.kill(process.pid, number)
        assert exit_code(process, 60) == EXIT[number]  # 1000 epochs would take longer
        assert statuses(folder) == ["interrupted"]
        [run] = [checkpoint.parent for checkpoint in checkpoints(folder)]
        assert json.loads((run / "result.json").read_text())["status"] == "interrupted"
        assert not list(run.glob(".*.part")) + list(run.glob(".owner.json"))
        assert "Traceback" not in (folder / "stderr.txt").read_text()


def test_a_second_ctrl_c_ends_at_once(tmp_path):
    process = start(run_main, tmp_path, *WORDS, "training.epochs=1000")
    wait_for(lambda: checkpoints(tmp_path))
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGINT)
    assert exit_code(process, 60) == 130
    assert load_checkpoint(checkpoints(tmp_path)[0])["progress"]["step"] > 0


def descendants(pid):
    """The processes below ``pid``, from /proc."""
    found, new = set(), {pid}
    while new:
        found |= new
        lines = [stat.read_text() for stat in Path("/proc").glob("[0-9]*/stat") if stat.exists()]
        parents = {int(line.split()[0]): int(line.rpartition(")")[2].split()[1]) for line in lines}
        new = {child for child, parent in parents.items() if parent in found} - found
    return found - {pid}


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


WORKER = "import os, time; from bnexp.studies.job import obey; obey(os.getppid()); print(os.getpid(), flush=True); "
CONTROLLER = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_a_worker_that_obeys_ends_with_its_parent_though_it_never_had_a_job():
    words = [sys.executable, "-c", CONTROLLER, WORKER + "time.sleep(60)"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        time.sleep(0.1)
        assert is_running(worker)
        parent.kill()
        wait_for(lambda: not is_running(worker), 30)


def test_joblibs_workers_obey_before_they_have_a_job(tmp_path, monkeypatch):
    core = pytest.importorskip("hydra_plugins.hydra_joblib_launcher._core")
    found = {}

    def parallel(**keywords):
        found.update(keywords)
        return lambda jobs: []

    monkeypatch.setattr(core, "Parallel", parallel)
    study = read_study("case_study", [])
    plan = make_plan(study, ["hydra/launcher=joblib", f"output_dir={tmp_path}", "seeds=1"])
    choose_launcher(plan, len(plan.jobs)).launch(plan.jobs)
    assert found["initializer"] is obey
    assert found["initargs"] == (os.getpid(),)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("attempt", range(20))
def test_a_sweep_with_workers_ends_with_all_its_processes(tmp_path, number, attempt):
    draws = random.Random(100 * int(number) + attempt)
    words = [*WORDS, "-m", "seed=range(6)", "training.epochs=40"]
    process = subprocess.Popen(command(*words), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for(lambda: checkpoints(tmp_path))
    time.sleep(draws.uniform(0, 2))
    children = descendants(process.pid)
    assert children
    if number == signal.SIGINT:  # a terminal sends it to all
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == EXIT[number], stderr.decode()
    wait_for(lambda: not any(map(is_running, children)), 60)
    assert set(statuses(tmp_path)) <= {"interrupted", "done", "queued"}  # a killed worker leaves no result behind
