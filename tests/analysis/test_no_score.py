"""A run whose network had no answer: what comparisons, tables and sweepers make of it."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.analysis.synthetic import write_run
from tests.sealing import seal_by_hand

from bnexp.analysis.arms import Arm, by_configuration
from bnexp.analysis.caveats import caveats
from bnexp.analysis.runs import find_runs
from bnexp.analysis.search import search_value
from bnexp.analysis.summary import Planned, print_result, print_summary, result_line
from bnexp.analysis.table import as_json, cells, compare
from bnexp.analysis.tidy import as_csv, records

SCORES = {"none": [0.6, 0.62, 0.61, 0.6], "batch": [0.97, 0.98, None, 0.99], "layer": [0.7, 0.7, 0.71, 0.72]}


@pytest.fixture
def arms(tmp_path: Path) -> list[Arm]:
    """Batch norm is far ahead but for one seed, which has no score."""
    for number, (norm, accuracies) in enumerate(SCORES.items()):
        for seed, accuracy in enumerate(accuracies):
            status = "diverged" if accuracy is None else "done"
            loss = None if accuracy is None else 1 - accuracy
            write_run(tmp_path, f"{number:010d}", seed, norm=norm, accuracy=accuracy, loss=loss, status=status)
    return by_configuration(find_runs([tmp_path])[0])


def test_its_arm_is_never_best_and_says_how_many_runs_have_no_score(arms: list[Arm]) -> None:
    comparison = compare(arms, "test/accuracy", arms[0])
    assert [row.best for row in comparison.rows] == [False, False, True]
    assert cells(comparison)[2][1:4] == ["3 of 4", "1", "0.9800 (1 of 4 without a score)"]
    assert any("1 run without" in line for line in caveats(comparison))


def test_what_is_left_of_its_arm_gets_no_interval_and_no_finding(arms: list[Arm]) -> None:
    for baseline in (arms[0], arms[1]):
        comparison = compare(arms, "test/accuracy", baseline)
        _, batch, layer = as_json(comparison)["arms"]
        assert (batch["without_value"], batch["interval"]) == (1, [None, None])
        judged = batch if baseline is arms[0] else layer
        assert judged["difference"]["interval"] == [None, None]
        assert judged["difference"]["p_adjusted"] == 1
        assert "1 of 4 runs without a score" in judged["difference"]["note"]
    assert not any("differences together" in line for line in caveats(compare(arms, "test/accuracy", arms[1])))


@pytest.mark.parametrize("metric", ["test/accuracy", "test/loss"])
def test_it_is_worse_than_every_other_run_in_the_chance_to_beat_one(arms: list[Arm], metric: str) -> None:
    difference = compare(arms, metric, arms[0]).rows[1].difference
    assert difference is not None
    # Three of batch norm's four runs beat all of the baseline's; more loss is "above".
    assert difference.probability_above == (0.75 if metric == "test/accuracy" else 0.25)


def test_a_csv_leaves_its_cell_empty(arms: list[Arm]) -> None:
    lines = as_csv(records(arms)).splitlines()
    [line] = [line for line in lines if "diverged" in line and "norm=batch,2" in line]
    row = dict(zip(lines[0].split(","), line.split(","), strict=True))
    assert (row["test/accuracy"], row["test/loss"]) == ("", "")


def result(status: str, last: float | None, best: float | None) -> dict[str, Any]:
    return {
        "status": status,
        "metrics": {"val/accuracy": last, "best/val/accuracy": best} if status != "failed" else {},
    }


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (result("done", 0.7, 0.8), 0.8),
        (result("done", None, None), 0.0),
        (result("done", None, 0.97), 0.0),  # good before the network was lost
        (result("diverged", None, 0.97), 0.0),
        (result("diverged", 0.95, 0.97), 0.0),  # 0.95 is the share of a class, perhaps
        (result("failed", None, None), None),
    ],
)
def test_a_sweeper_is_told_the_worst_there_is(found: dict[str, Any], told: float | None) -> None:
    assert search_value([found]) == told


def test_of_replicas_a_sweeper_is_told_the_mean_in_which_one_without_a_score_counts_as_the_worst() -> None:
    assert search_value([result("done", 0.8, 0.8), result("diverged", None, 0.9)]) == pytest.approx(0.4)
    assert search_value([result("done", 0.8, 0.8), result("failed", None, None)]) is None


STATUSES = st.sampled_from(["done", "diverged"])
ACCURACIES = st.none() | st.floats(0, 1)


@given(st.lists(st.tuples(STATUSES, ACCURACIES, ACCURACIES), min_size=1, max_size=3))
def test_what_a_sweeper_is_told_is_a_number_that_any_of_them_takes(runs: list[Any]) -> None:
    told = search_value([result(*run) for run in runs])
    assert told is not None
    assert 0 <= told <= 1


def full(accuracy: float | None, seed: int = 0) -> dict[str, Any]:
    names = ("val/accuracy", "val/loss", "test/accuracy", "test/loss", "best/test/accuracy", "best/val/accuracy")
    metrics: dict[str, Any] = dict.fromkeys((*names, "best/epoch"), accuracy)
    return {
        "status": "diverged" if accuracy is None else "done",
        "seed": seed,
        "metrics": metrics,
        "steps": 10,
        "epochs": 1.0,
        "seconds": {"train": 1.0, "total": 2.0},
    }


def test_a_line_and_a_table_about_it_say_that_it_has_no_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert result_line("arm/run", full(None)) == "diverged    arm/run  no score  2.0 s"
    print_result(Path("outputs/arm/run"), full(None))
    lines = capsys.readouterr().out
    assert lines.count("no score") == 3
    assert "No score: the network's outputs for some examples" in lines
    assert "epoch None" not in lines


def finish(folder: Path, result: dict[str, Any]) -> None:
    (folder / "config.yaml").write_text(json.dumps({"seed": result["seed"]}))
    (folder / "result.json").write_text(json.dumps(result | {"fingerprint": "0123456789"}))
    seal_by_hand(folder, "0123456789", result["seed"])


@pytest.mark.parametrize("accuracies", [*itertools.permutations([0.9, 0.8, None])])
def test_a_multiruns_table_says_of_how_many_runs_it_is_the_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], accuracies: list[float | None]
) -> None:
    planned = []
    for seed, accuracy in enumerate(accuracies):
        path = tmp_path / f"a-s{seed}"
        path.mkdir()
        finish(path, full(accuracy, seed))
        planned.append(Planned(("norm=none",), seed, path))
    print_summary(planned, tmp_path)
    out = capsys.readouterr().out
    assert out.count("0.8500 ± 0.0707 (1 of 3 without score)") == 2
    assert math.isclose(math.sqrt(2) / 20, 0.0707, abs_tol=1e-4)


def test_an_arm_without_any_score_has_no_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(tmp_path, full(None))
    print_summary([Planned(("norm=none",), 0, tmp_path)], tmp_path)
    assert capsys.readouterr().out.count("no score") == 2
