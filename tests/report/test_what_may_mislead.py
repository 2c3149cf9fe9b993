"""Runs without a score, arms on other data, and few examples in a report: nothing is printed that misleads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import FakeRun, MakeOutcome, outcome_of, runs
from tests.report.page import Page

from bnexp.report.diagnosis import diagnosis_section
from bnexp.report.rate_table import sweep
from bnexp.report.write import write_report
from bnexp.studies.show import print_outcome

LOST = FakeRun(val=[0.5, 0.93, None], test=None, losses=[0.5, 0.4, None], status="diverged")
ARMS: dict[str, Any] = {"A": ["norm=none"], "B": ["norm=batch"]}
NODE: dict[str, Any] = {
    "arms": ARMS,
    "baseline": "A",
    "seeds": 4,
    "target": {"value": 0.9},
    "claims": [
        {"text": "B is better", "kind": "difference", "a": "B", "b": "A", "metric": "test/accuracy", "low": 0.0},
        {"text": "B is faster", "kind": "time_ratio", "a": "B", "b": "A", "unit": "steps", "high": 5.0},
    ],
}


def page(outcome: Any) -> Page:
    return Page.of(write_report(outcome).read_text(encoding="utf-8"))


def test_an_arm_with_a_run_without_a_score_has_no_mean_no_difference_and_no_verdict(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome(NODE, {"A": runs(0.5, 0.52, 0.51, 0.5), "B": [*runs(0.97, 0.98, 0.99), LOST]})
    found = page(outcome)
    row = next(row for row in found.tables["Arms"][0] if row[0] == "B")
    assert row == ["B", "4", "1", "–", "some diverged", "–", "some without score", "–"]
    better = outcome.verdicts[0]
    assert better.status == "undecided"
    assert better.claim.estimate.note == "1 of 4 runs of B diverged and have no test/accuracy"
    answer = " ".join(found.texts["Does it?"])
    assert "1 of 8 finished runs have no score" in answer
    row = next(row for row in found.tables["Diagnosis"][0] if row[0] == "B")
    assert row[2:4] == ["–", "–"]
    assert row[4].startswith("training diverges in 25% of the runs")


def test_a_run_that_arrived_before_it_was_lost_did_arrive(make_outcome: MakeOutcome) -> None:
    """LOST was at 0.93 after 20 steps; another of its kind never was."""
    never = FakeRun(val=[0.5, None, None], test=None, losses=[0.5, None, None], status="diverged")
    outcome = make_outcome(NODE, {"A": runs(0.95, 0.95, 0.95, 0.95), "B": [LOST, LOST, never, never]})
    durations = outcome.evidence.durations("B", "steps")
    assert durations.reached.tolist() == [True, True, False, False]
    assert durations.times.tolist()[:2] == [20, 20]
    assert durations.times[2] == float("inf")


def test_a_target_from_a_baseline_counts_a_run_without_a_score_as_the_worst(tmp_path: Path) -> None:
    never = FakeRun(val=[None] * 3, test=None, losses=[None] * 3, status="diverged")
    node = NODE | {"target": {"from_baseline": True}}
    # Of the best values −∞, 0.6, 0.7, 0.8 the median lies between 0.6 and 0.7, and not at 0.7.
    outcome = outcome_of(tmp_path / "one", node, {"A": [never, *runs(0.6, 0.7, 0.8)], "B": runs(0.9)})
    assert outcome.evidence.target_value == pytest.approx(0.65)
    lost = {"A": [never, never, *runs(0.8)], "B": runs(0.9)}
    outcome = outcome_of(tmp_path / "other", node | {"seeds": 3}, lost)
    assert outcome.evidence.target_value is None
    assert "no target" in outcome.verdicts[1].claim.estimate.note


def test_the_terminal_says_how_many_have_no_score(
    make_outcome: MakeOutcome, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = make_outcome(NODE, {"A": runs(0.1, 0.99), "B": [*runs(0.97, 0.98, 0.99), LOST]})
    print_outcome(outcome.plan, outcome.evidence, outcome.verdicts, {})
    first, second = (line for line in capsys.readouterr().out.splitlines() if re.match("[AB]  ", line))
    assert re.split(" {2,}", first)[2:4] == ["0.5450", "0.0000 to 1.0000"]  # of two runs: anything is possible
    assert "no mean  " in second
    assert "1 of 4 without score" in second


def test_no_interval_is_printed_of_an_arm_in_which_nothing_arrived(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome(NODE, {"A": runs(0.5, 0.5, 0.6, 0.6), "B": runs(0.5, 0.6, 0.5, 0.6)})
    for row in page(outcome).tables["Time to target"][0][1:]:
        assert row[4] == "no run arrived"
        assert not re.search(r"\d to \d", " ".join(row))
    faster = outcome.verdicts[1]
    assert "interval" not in faster.explanation.replace("no interval", "")


RATES = {
    "factors": {"optimizer.lr": ["0.1", "1.0", "10.0"]},
    "baseline": "optimizer.lr=0.1",
    "seeds": 2,
}


def rates(folder: Path, last: list[FakeRun]) -> Any:
    labels = [f"optimizer.lr={rate}" for rate in RATES["factors"]["optimizer.lr"]]  # type: ignore[index]
    return outcome_of(folder, RATES, dict(zip(labels, [runs(0.8, 0.8), runs(0.9, 0.9), last], strict=True)))


def test_the_best_rate_is_one_at_which_every_run_has_a_score(tmp_path: Path) -> None:
    outcome = rates(tmp_path, [LOST, *runs(0.99)])
    common, best = page(outcome).tables["Over the learning rate"]
    assert common[3] == ["10", "all arms", "–", "some have none", "1 of 2"]
    assert best[1][1] == "1"
    assert best[1][-1] == "1"  # and the largest stable one


def test_a_run_that_is_good_on_the_test_split_does_not_guess(tmp_path: Path) -> None:
    """With so few validation examples guessing may reach 0.2; the test split tells."""
    good = FakeRun(val=[0.1, 0.2, 0.2], test=0.972)
    found = sweep(rates(tmp_path / "good", [good, good]))
    assert found is not None
    assert not any(trial.guesses for trial in found.trials)
    bad = FakeRun(val=[0.1, 0.2, 0.1], test=0.11, train=[0.1, 0.1, 0.12])
    outcome = rates(tmp_path / "bad", [bad, bad])
    found = sweep(outcome)
    assert found is not None
    assert [trial.guesses for trial in found.trials] == [False] * 4 + [True] * 2
    rows = diagnosis_section(outcome).blocks[0].rows  # type: ignore[union-attr]
    assert [row[-1].startswith("does not train") for row in rows] == [False, False, True]


def test_an_arm_on_other_data_is_not_compared_with_the_baseline(make_outcome: MakeOutcome) -> None:
    outcome = make_outcome(NODE, {"A": runs(0.5, 0.52, 0.51, 0.5), "B": runs(0.97, 0.98, 0.99, 0.97)})
    for run in outcome.evidence.runs["B"]:
        run.config["choices"]["dataset"] = "mnist"  # type: ignore[index]
    found = page(outcome)
    row = next(row for row in found.tables["Arms"][0] if row[0] == "B")
    assert row[5:] == ["–", "other data", "–"]
    row = next(row for row in found.tables["Time to target"][0] if row[0] == "B")
    assert row[5:8] == ["–", "other data", "–"]


def test_few_test_examples_are_told(make_outcome: MakeOutcome) -> None:
    text = " ".join(page(make_outcome(NODE, {"A": runs(0.5, 0.5), "B": runs(0.5, 0.6)})).texts["Does it?"])
    assert "Few examples: an accuracy on 250 test examples changes in steps of 0.004, and one of 0.5000 may" in text
