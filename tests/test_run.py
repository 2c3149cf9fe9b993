"""Running an experiment: what the result holds beside the metrics, and that a run leaves its experiment as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bnexp.config.compose import compose_run
from bnexp.experiment import Experiment, prepare
from bnexp.run import run
from bnexp.training.progress import Silence
from bnexp.training.record import read_rows

QUICK = ["model=mlp", "model.hidden=[4]", "dataset=breast_cancer", "norm=batch", "training.epochs=2"]


def experiment(tmp_path: Path, *words: str) -> Experiment:
    return prepare(*compose_run([*QUICK, f"output_dir={tmp_path}", *words]))


def curve(prepared: Experiment) -> list[dict[str, float | int | None]]:
    rows = read_rows(prepared.path / "metrics.jsonl")
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_an_experiment_that_is_run_twice_starts_twice_from_the_same_network(tmp_path: Path) -> None:
    prepared = experiment(tmp_path, "rerun=true", "noise.activation=0.1")
    first = run(prepared, Silence)
    rows = curve(prepared)
    second = run(prepared, Silence)
    assert curve(prepared) == rows
    assert second["metrics"] == first["metrics"]


def test_the_result_tells_the_number_of_examples_of_each_split(tmp_path: Path) -> None:
    prepared = experiment(tmp_path)
    run(prepared, Silence)
    result = json.loads((prepared.path / "result.json").read_text())
    assert result["examples"] == {"train": 410, "val": 46, "test": 113}
    assert result["metrics"]["test/accuracy"] * 113 == pytest.approx(round(result["metrics"]["test/accuracy"] * 113))


DENORMALS = """
import sys, torch
from bnexp.config.compose import compose_run
from bnexp.experiment import prepare
from bnexp.run import run
from bnexp.training.progress import Silence
words = ["dataset.subset=0.2", "training.threads=2", "training.epochs=1", "init=orthogonal", "model=mlp"]
run(prepare(*compose_run([*words, "output_dir=" + sys.argv[1]])), Silence)
halves = torch.full((2, 1_000_000), 2e-38) / 8  # a denormal, unless the thread that computes it flushes them
print(torch.get_num_threads(), halves.view(torch.int32).count_nonzero().item())
"""


def test_denormals_are_flushed_by_every_thread(tmp_path: Path) -> None:
    words = [sys.executable, "-c", DENORMALS, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "0"]


def test_no_test_inherits_that_from_the_one_before(tmp_path: Path) -> None:
    assert sys.float_info.min / 2 > 0
    experiment(tmp_path)
    assert sys.float_info.min / 2 == 0
