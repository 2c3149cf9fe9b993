"""Data of 95 examples to 5, and networks that know nothing: no name of a class makes them look good.

From the evaluation over the best, early stopping, tables, comparison and sweeper to the verdict of a study.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bnexp.analysis.runs import Run, find_runs
from bnexp.analysis.search import search_value
from bnexp.cli.main import main

NAMES = {"frequent first": ("a", "z"), "frequent last": ("z", "a")}
SMALL = ("dataset=csv", "dataset.path=x.csv", "dataset.target=y", "model=mlp", "model.width=4", "training.device=cpu")
LOST = "optimizer.lr=1e30"


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """The same table twice, with exchanged names of its classes."""
    x = np.random.default_rng(0).normal(size=(400, 2)).round(4)
    rare = np.arange(400) % 20 == 0
    for name, (frequent, other) in NAMES.items():
        rows = [f"{a},{b},{other if is_rare else frequent}" for (a, b), is_rare in zip(x, rare, strict=True)]
        folder = tmp_path / name
        folder.mkdir()
        (folder / "x.csv").write_text("\n".join(["p,q,y", *rows]) + "\n")
    return {name: tmp_path / name for name in NAMES}


def trained(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[Run]:
    monkeypatch.chdir(folder)
    assert main(["train", *SMALL, "training.threads=1", "training.epochs=3", *words]) == 0
    return find_runs([folder])[0]


def numbers(run: Run) -> tuple[Mapping[str, float | None], list[Any]]:
    """What a run recorded that no name may change, and no rounding does: accuracies."""
    metrics = {name: value for name, value in run.metrics.items() if "accuracy" in name or "epoch" in name}
    return metrics, [[row["step"], row["val/accuracy"], row["train/accuracy"]] for row in run.rows]


@pytest.mark.parametrize("init", ["zeros", "constant"])
def test_a_network_that_cannot_tell_the_classes_apart_scores_alike_under_both_names(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, init: str
) -> None:
    words = (f"init={init}", "optimizer.lr=1e-60", "training.batch_size=16")
    one, other = ([numbers(run) for run in trained(folder, monkeypatch, *words)] for folder in folders.values())
    assert one == other
    assert one[0][0]["test/accuracy"] == 0.5  # and neither .95 nor .05


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "mse", "hinge"])
def test_a_network_of_nan_has_no_score_under_either_name_whatever_the_loss(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    found = []
    for folder in folders.values():
        [run] = trained(folder, monkeypatch, LOST, f"loss={loss}", "training.early_stopping=1")
        assert run.status == "diverged"
        assert {run.metrics[f"{split}/{name}"] for split in ("val", "test") for name in ("accuracy", "loss")} == {None}
        assert run.metrics["best/val/accuracy"] is None
        assert search_value([run.result]) == 0
        found.append(numbers(run))
    assert found[0][0] == found[1][0]


@pytest.mark.parametrize("statistics", ["running", "precise", "batch"])
def test_nor_with_any_statistics_of_batch_norm_or_in_bfloat16(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, statistics: str
) -> None:
    words = ("norm=batch", f"evaluation.statistics={statistics}", "training.precision=bf16", LOST)
    for folder in folders.values():
        [run] = trained(folder, monkeypatch, *words, "optimizer=sgd")
        finite = run.metrics["val/accuracy"] is not None
        assert finite == (run.rows[-1]["val/loss"] is not None)
        assert run.metrics["best/val/accuracy"] is None or finite


def test_it_is_never_best_and_never_supported(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = {
        "question": "Does it?",
        "base": [*SMALL, "training.epochs=2", "training.threads=1"],
        "factors": {"optimizer.lr": ["0.05", "1e30"]},
        "baseline": "optimizer.lr=0.05",
        "seeds": 3,
        "target": {"metric": "val/accuracy", "value": 0.5},
        "claims": [
            {"text": "A network of NaN is as good", "kind": "difference", "metric": "test/accuracy", "low": -0.9,
             "a": "optimizer.lr=1e30", "b": "optimizer.lr=0.05"},
            {"text": "It is as fast", "kind": "time_ratio", "unit": "steps", "high": 1.5,
             "a": "optimizer.lr=1e30", "b": "optimizer.lr=0.05"},
        ],
    }  # fmt: skip
    outputs = []
    for folder in folders.values():
        monkeypatch.chdir(folder)
        (folder / "mine" / "study").mkdir(parents=True)
        (folder / "mine" / "study" / "trial.yaml").write_text(yaml.safe_dump(node))
        assert main(["study", "trial", "--config-dir", "mine", "hydra/launcher=basic"]) == 0
        verdicts = json.loads((folder / "outputs" / "studies" / "trial" / "verdicts.json").read_text())["verdicts"]
        better, faster = verdicts
        assert (better["status"], better["interval"]) == ("undecided", [None, None])
        assert "3 of 3 runs of optimizer.lr=1e30 diverged and have no test/accuracy" in better["note"]
        assert faster["status"] != "supported"
        report = (folder / "outputs" / "studies" / "trial" / "report.md").read_text()
        assert "3 of 6 finished runs have no score" in report
        capsys.readouterr()
        assert main(["compare", "outputs", "--json"]) == 0
        arms = {arm["label"]: arm for arm in json.loads(capsys.readouterr().out)["arms"]}
        lost = arms["optimizer.lr=1e+30"]
        assert (lost["best"], lost["mean"], lost["values"], lost["without_value"]) == (False, None, [], 3)
        assert lost["difference"]["probability_above"] == 0
        outputs.append([arm["best"] for arm in arms.values()])
    assert outputs[0] == outputs[1]
