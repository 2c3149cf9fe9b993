"""One bad run stops nothing: the others are done, and each error is in its own folder."""

import json
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from tests.sealing import end_by_hand

from bnexp.analysis.states import find_states
from bnexp.cli.main import main
from bnexp.config.compose import Composed
from bnexp.studies.conduct import conduct
from bnexp.studies.plan import Job
from bnexp.training.owner import Owner

PLUGIN = """
import os, signal, sys, time, torch

def bad(step, num_steps, *, how: str):
    if step == 3:
        if how == "raise":
            raise ValueError("line one\\nline two")
        if how == "exit":
            sys.exit(3)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hang":
            time.sleep(600)
        if how == "memory":
            torch.empty(10**15)
        if how == "huge":
            bytearray(10**15)
    return float("nan") if how == "diverge" else 1.0
"""
ERRORS = {
    "raise": "ValueError: line one",
    "exit": "SystemExit: 3",
    "hang": "TimedOut: not done after 2 s (training.timeout)",
    "memory": "RuntimeError: ",
    "huge": "MemoryError: ",
}
QUICK = ["dataset=two_features", "dataset.num_examples=300", "model=mlp", "model.width=8", "training.epochs=2"]
QUICK += ["training.device=cpu", "training.threads=1", "schedule=bad", "training.timeout=2"]


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A schedule that goes wrong in every way, as somebody's own package."""
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "bad_schedules.py").write_text(PLUGIN)
    (tmp_path / "mine" / "schedule").mkdir(parents=True)
    node = {"_target_": "bad_schedules.bad", "_partial_": True, "how": "fine"}
    (tmp_path / "mine" / "schedule" / "bad.yaml").write_text(yaml.safe_dump(node))
    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "plugin"))
    monkeypatch.setenv("BNEXP_PLUGINS", "bad_schedules")
    monkeypatch.chdir(tmp_path)
    forkserver._forkserver._stop()  # one that another test has started does not know these variables
    yield tmp_path
    forkserver._forkserver._stop()
    sys.modules.pop("bad_schedules", None)


def how(state):
    return yaml.safe_load((state.path / "config.yaml").read_text())["schedule"]["how"]


def assert_told(states, seeds):
    """Every run has its status; what failed has its error in a line, and its traceback in its folder."""
    for state in states:
        kind = how(state)
        assert state.status == {"fine": "done", "diverge": "diverged"}.get(kind, "failed"), (kind, state.error)
        if kind in ERRORS:
            assert state.error.startswith(ERRORS[kind])
            assert "\n" not in state.error
            assert "Traceback" in (state.path / "traceback.txt").read_text()
    assert len(states) == seeds * len({how(state) for state in states})


def test_runs_that_fail_in_every_way_stop_no_other(plugin, capsys, monkeypatch):
    monkeypatch.setattr("bnexp.studies.launch.num_cores", lambda: 2)  # in processes of their own: one is killed
    kinds = ["raise", "exit", "hang", "memory", "huge", "diverge", "kill", "fine"]
    words = ["train", "-m", "--config-dir", "mine", f"schedule.how={','.join(kinds)}", *QUICK]
    assert main(words) == 1
    states = find_states([plugin / "outputs"])
    assert sorted(map(how, states)) == sorted(kinds)
    assert_told(states, 1)
    captured = capsys.readouterr()
    assert captured.out.count("1 failed") == len(ERRORS) + 1
    [killed] = [state for state in states if how(state) == "kill"]
    assert killed.error == "its process died (exit code -9)"
    assert "Traceback" not in captured.out + captured.err


def test_a_run_that_timed_out_goes_on_with_as_much_time_again(plugin):
    words = ["train", "--config-dir", "mine", *QUICK]
    assert main([*words, "schedule.how=fine", "training.timeout=0.000001"]) == 1
    [state] = find_states([plugin / "outputs"])
    assert state.error == "TimedOut: not done after 1e-06 s (training.timeout)"
    assert main([*words, "schedule.how=fine", "training.timeout=60"]) == 0
    assert [state.status for state in find_states([plugin / "outputs"])] == [
        "done"
    ]  # the limit is no part of the question


@pytest.mark.slow
def test_a_sweep_of_forty_runs_with_every_kind_of_end_has_forty_statuses(plugin, bnexp):
    kinds = ["raise", "exit", "hang", "memory", "diverge", "kill", "fine"]
    arms = {kind: [f"schedule.how={kind}"] for kind in kinds} | {"fine batch": ["schedule.how=fine", "norm=batch"]}
    study = {"question": "What is left?", "base": QUICK, "arms": arms, "baseline": "fine", "seeds": 5, "claims": []}
    (plugin / "mine" / "study").mkdir()
    (plugin / "mine" / "study" / "bad.yaml").write_text("# Every kind of end\n" + yaml.safe_dump(study))
    done = bnexp("study", "bad", "--config-dir", "mine", timeout=900)
    assert done.returncode == 1, done.stderr
    states = find_states([plugin / "outputs"])
    assert len(states) == 40
    assert sum(state.status == "done" for state in states) == 10
    assert sum(state.status == "diverged" for state in states) == 5
    assert sum(state.status == "failed" for state in states) == 25
    killed = [state for state in states if how(state) == "kill"]
    assert {state.error for state in killed} == {"its process died (exit code -9)"}
    assert "Traceback" not in done.stderr


@pytest.fixture
def jobs(tmp_path: Path):
    jobs = [
        Job(
            (f"seed={seed}",),
            Composed({"seed": seed}, {}),
            tmp_path / f"0123456789-s{seed}",
            "0123456789",
            num_steps=10,
        )
        for seed in range(4)
    ]
    for job in jobs:
        job.path.mkdir()
        (job.path / "config.yaml").touch()
    return jobs


def finish(job):
    (job.path / ".owner.json").unlink(missing_ok=True)
    end_by_hand(job.path, seed=job.composed.config["seed"])
    return "done"


def test_a_process_that_is_killed_again_and_again_costs_its_own_run_alone(jobs):
    launches = []

    def launch(given):
        """Two at a time; the second run gets every process killed, and the other one's with it."""
        launches.append([jobs.index(job) for job in given])
        for start in range(0, len(given), 2):
            pair = given[start : start + 2]
            for job in pair:
                (job.path / ".owner.json").write_text(json.dumps({"host": "h", "pid": 1, "started": "1"}))
            if jobs[1] in pair:
                raise RuntimeError("a worker was killed")
            for job in pair:
                finish(job)
        return ["done"] * len(given)

    told = []
    errors = conduct(jobs, launch, told.append)
    assert launches == [[0, 1, 2, 3], [0], [1], [2, 3]]
    assert errors == {jobs[1].path: "its process was killed: RuntimeError: a worker was killed"}
    results = [json.loads((job.path / "result.json").read_text()) for job in jobs]
    assert [result["status"] for result in results] == ["done", "failed", "done", "done"]
    assert (results[1]["fingerprint"], results[1]["seed"]) == ("0123456789", 1)
    assert told[0] == "the launcher failed: RuntimeError: a worker was killed"


def test_a_run_that_another_sweep_is_training_was_not_cut_off(jobs, monkeypatch):
    monkeypatch.setattr("bnexp.studies.conduct.SECONDS_TO_DIE", 0.05)
    (jobs[0].path / ".owner.json").write_text(json.dumps(vars(Owner("h", 1, "1"))))

    def launch(given):
        raise RuntimeError("the cluster went away")

    with FileLock(jobs[0].path / ".lock"):
        errors = conduct(jobs, launch, lambda line: None)
    assert errors == dict.fromkeys(
        [job.path for job in jobs], "the launcher failed: RuntimeError: the cluster went away"
    )
    assert not list(jobs[0].path.glob("result.json"))
