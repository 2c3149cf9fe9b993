"""Runs side by side: the numbers of runs alone, whatever happens to the process of one of them."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bnexp.config.compose import compose_seeds
from bnexp.experiment import prepare
from bnexp.run import run
from bnexp.training.device import MACHINE_THREADS, num_cores
from bnexp.training.progress import Silence
from bnexp.workers import train_side_by_side
from tests.conftest import CommandLine, command

WORDS = ["training.epochs=2", "model.width=8", "norm=batch", "model.dropout=0.2", "augment=crop_flip"]

KILLER = """
import os, signal

def deadly(step, num_steps, *, kill: bool):
    if kill:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0
"""


def numbers(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_runs_side_by_side_have_the_bits_of_runs_alone(tmp_path: Path) -> None:
    results: dict[int, dict[str, Any]] = {}
    together = compose_seeds([*WORDS, f"output_dir={tmp_path / 'together'}"], range(3))
    train_side_by_side(together, 2, results.__setitem__)
    for seed, alone in enumerate(compose_seeds([*WORDS, f"output_dir={tmp_path / 'alone'}"], range(3))):
        experiment = prepare(*alone)
        result = run(experiment, Silence)
        assert results[seed]["metrics"] == result["metrics"]
        assert numbers(prepare(*together[seed]).path) == numbers(experiment.path)


def test_each_process_takes_its_share_of_the_cores(tmp_path: Path) -> None:
    results: dict[int, dict[str, Any]] = {}
    words = ["dataset=brightness", "dataset.num_examples=200", "model.width=2", "training.epochs=1"]
    composed = compose_seeds([*words, f"output_dir={tmp_path}", "training.threads=auto"], range(1))
    train_side_by_side(composed, 2, results.__setitem__)
    assert results[0]["status"] == "done"
    assert results[0]["environment"]["threads"] <= max(1, MACHINE_THREADS // 2)


@pytest.mark.skipif(num_cores() < 2, reason="with one core the runs are trained in one process, and die with it")
def test_a_run_whose_process_dies_has_failed_and_the_others_go_on(bnexp: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(KILLER)
    (tmp_path / "mine" / "schedule").mkdir(parents=True)
    (tmp_path / "mine" / "schedule" / "deadly.yaml").write_text(
        "_target_: deadly.deadly\n_partial_: true\nkill: false\n"
    )
    words = ["train", "--config-dir", "mine", "-m", "schedule=deadly", "schedule.kill=false,true", "seed=0,1,2"]
    done = bnexp(*words, *WORDS, env={"BNEXP_PLUGINS": "deadly", "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("its process died (exit code -9)") == 3
    statuses = [json.loads(file.read_text())["status"] for file in tmp_path.glob("outputs/*/*/result.json")]
    assert sorted(statuses) == ["done"] * 3 + ["failed"] * 3


def test_a_process_that_dies_between_two_runs_is_replaced(tmp_path: Path) -> None:
    results: dict[int, dict[str, Any]] = {}
    words = ["dataset=brightness", "dataset.num_examples=200", "model.width=2", "training.epochs=1"]

    def told(number: int, result: dict[str, Any]) -> None:
        results[number] = result
        if number == 0:
            for process in multiprocessing.active_children():
                process.kill()
                process.join()

    train_side_by_side(compose_seeds([*words, f"output_dir={tmp_path}"], range(2)), 1, told)
    assert [results[number]["status"] for number in range(2)] == ["done", "done"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_under_way_is_written_down_when_a_multirun_is_stopped(number: signal.Signals, tmp_path: Path) -> None:
    words = command("train", "-m", "seed=range(4)", "training.epochs=1000", "model.width=8")
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("outputs/*/*/checkpoint.pt")):
        pass
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], stderr
    assert "interrupted; the same command resumes" in stderr
    assert "Traceback" not in stderr
    statuses = {json.loads(file.read_text())["status"] for file in tmp_path.glob("outputs/*/*/result.json")}
    assert statuses == {"interrupted"}
