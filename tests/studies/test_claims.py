"""Each kind of claim says what a direct call of the statistics says about the same numbers."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from tests.sealing import seal_again
from tests.studies.conftest import MakeRun

from bnexp.analysis.arms import Arm
from bnexp.analysis.runs import read_run
from bnexp.analysis.statistics.divergence import compare_divergence
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.factorial import interaction_contrast, main_effect
from bnexp.analysis.statistics.spread import between_ratio, spread_ratio
from bnexp.analysis.statistics.survival import time_ratio
from bnexp.analysis.statistics.target import durations
from bnexp.studies.claims import KINDS, estimate
from bnexp.studies.evidence import Evidence
from bnexp.studies.study import DeclaredClaim, Target
from bnexp.studies.verdicts import as_json, row, verdicts

A = [0.91, 0.95, 0.93, 0.97, 0.90]
B = [0.70, 0.75, 0.79, 0.72, 0.77]


def claim(
    kind: str, *, low: float = 0.0, high: float = math.inf, text: str = "text", **arguments: object
) -> DeclaredClaim:
    return DeclaredClaim(text, "C1", kind, arguments, low, high)


def same(one: Estimate, other: Estimate) -> None:
    assert one.value == pytest.approx(other.value, nan_ok=True)
    assert one.interval() == pytest.approx(other.interval())
    assert one.n == other.n


@pytest.fixture
def two_arms(make_run: MakeRun) -> Evidence:
    arms = [
        Arm(label, {}, tuple(make_run(seed, [0.5, value], arm=label) for seed, value in enumerate(values)))
        for label, values in (("a", A), ("b", B))
    ]
    return Evidence(arms, Target("val/accuracy", 0.91), "b")


@pytest.fixture
def factorial(make_run: MakeRun) -> Evidence:
    return Evidence(
        [
            Arm(
                f"init={init} norm={norm}",
                {"init": init, "norm": norm},
                tuple(make_run(seed, [value], arm=f"{init}-{norm}") for seed, value in enumerate(values)),
            )
            for (init, norm), values in CELLS.items()
        ]
    )


CELLS = {
    ("default", "none"): [0.10, 0.12, 0.09],
    ("default", "batch"): [0.90, 0.93, 0.95],
    ("he", "none"): [0.80, 0.86, 0.81],
    ("he", "batch"): [0.96, 0.95, 0.97],
}


def test_a_difference_is_welchs(two_arms: Evidence) -> None:
    found = estimate(claim("difference", a="a", b="b", metric="test/accuracy"), two_arms)
    truth = scipy.stats.ttest_ind(A, B, equal_var=False).confidence_interval()
    assert found.value == pytest.approx(np.mean(A) - np.mean(B))
    assert found.interval() == pytest.approx((truth.low, truth.high))


def test_a_paired_difference_takes_the_same_seeds_of_both(two_arms: Evidence) -> None:
    found = estimate(claim("paired_difference", a="a", b="b", metric="test/accuracy"), two_arms)
    truth = scipy.stats.ttest_rel(A, B).confidence_interval()
    assert found.interval() == pytest.approx((truth.low, truth.high))


def test_a_level_is_students_interval(two_arms: Evidence) -> None:
    found = estimate(claim("level", a="a", metric="test/accuracy"), two_arms)
    assert found.interval() == pytest.approx(scipy.stats.t.interval(0.95, 4, np.mean(A), scipy.stats.sem(A)))


def test_a_relative_difference_is_the_ratio_less_one(two_arms: Evidence) -> None:
    found = estimate(claim("relative_difference", a="a", b="b", metric="test/accuracy"), two_arms)
    assert found.value == pytest.approx(np.mean(A) / np.mean(B) - 1)


def test_a_relative_difference_ends_at_minus_one_unless_the_metric_may_be_negative(make_run: MakeRun) -> None:
    values = {"a": [0.01, 0.01, 0.6], "b": [0.5, 0.6, 0.55]}
    runs = {
        label: tuple(make_run(seed, [value], arm=label) for seed, value in enumerate(values[label])) for label in values
    }
    evidence = Evidence([Arm(label, {}, own) for label, own in runs.items()])
    low, high = estimate(claim("relative_difference", a="a", b="b", metric="test/accuracy"), evidence).interval()
    assert low == -1 < high
    for own in runs.values():
        for run in own:
            run.rows[-1]["train/accuracy"] = 2 * run.rows[-1]["val/accuracy"]  # the gap is then the same number
    gap = estimate(claim("relative_difference", a="a", b="b", metric="gap/accuracy"), evidence).interval()
    assert gap[0] < -1
    assert gap[1] == pytest.approx(high)


def test_a_signal_is_the_mean_over_a_runs_evaluations(make_run: MakeRun) -> None:
    smoothness = {"a": [[2.0, 4.0], [3.0, 5.0]], "b": [[10.0, 20.0], [30.0, 30.0]]}
    arms = []
    for label, curves in smoothness.items():
        runs = [make_run(seed, [0.5, 0.6], arm=label) for seed in range(2)]
        for run, values in zip(runs, curves, strict=True):
            record = run.path / "metrics.jsonl"
            rows = [json.loads(line) for line in record.read_text().splitlines()]
            for line, value in zip(rows, values, strict=True):
                line["signal/effective_smoothness"] = value
            record.write_text("".join(json.dumps(row) + "\n" for row in rows))
            seal_again(run.path)
        arms.append(Arm(label, {}, tuple(read_run(run.path) for run in runs)))
    evidence = Evidence(arms)
    assert evidence.values("a", "signal/effective_smoothness") == [3.0, 4.0]
    found = estimate(claim("relative_difference", a="a", b="b", metric="signal/effective_smoothness"), evidence)
    assert found.value == pytest.approx(3.5 / 22.5 - 1)


def test_a_claim_about_a_signal_that_was_not_recorded_has_no_interval(two_arms: Evidence) -> None:
    found = estimate(claim("level", a="a", metric="signal/effective_smoothness"), two_arms)
    assert math.isnan(found.value)
    assert found.note == "5 of 5 runs of a have no signal/effective_smoothness"


def test_a_run_that_never_reaches_the_target_is_censored_at_its_end(two_arms: Evidence) -> None:
    found = estimate(claim("time_ratio", a="a", b="b", unit="epochs"), two_arms)
    arrived = durations([2.0 if value >= 0.91 else None for value in A], [2.0] * 5)
    never = durations([None] * 5, [2.0] * 5)
    same(found, time_ratio(arrived, never, 2.0, resolution=1.0))


def test_a_target_without_a_value_is_the_median_of_the_baselines_best(two_arms: Evidence) -> None:
    evidence = Evidence([*two_arms.arms.values()], Target("val/accuracy", None), "b")
    assert evidence.target_value == pytest.approx(np.median(B))
    losses = Evidence([*two_arms.arms.values()], Target("val/loss", None), "b")
    assert losses.target_value == pytest.approx(2 - np.median(B))
    assert [losses.crossing(run, "steps") for run in losses.runs["a"]] == [20.0] * 5


def test_factorial_kinds_see_the_cells(factorial: Evidence) -> None:
    effect = claim("main_effect", factor="norm", levels=["none", "batch"], metric="test/accuracy")
    swapped = {(norm, f"init={init}"): values for (init, norm), values in CELLS.items()}
    same(estimate(effect, factorial), main_effect(swapped, 0, ("none", "batch")))
    contrast = claim(
        "interaction", rows={"norm": ["none", "batch"]}, columns={"init": ["default", "he"]}, metric="test/accuracy"
    )
    cells = {(norm, init): values for (init, norm), values in CELLS.items()}
    same(estimate(contrast, factorial), interaction_contrast(cells, ("none", "batch"), ("default", "he")))


def test_spreads_are_those_of_seeds_and_of_inits(factorial: Evidence, two_arms: Evidence) -> None:
    over_seeds = claim("spread_ratio", a="a", b="b", metric="test/accuracy")
    same(estimate(over_seeds, two_arms), spread_ratio(A, B))
    over_inits = claim("between_ratio", a={"norm": "batch"}, b={"norm": "none"}, over="init", metric="test/accuracy")
    families = [{init: CELLS[init, norm] for init in ("default", "he")} for norm in ("batch", "none")]
    same(estimate(over_inits, factorial), between_ratio(*families))


def test_divergences_are_counted_and_pooled_over_a_level(make_run: MakeRun) -> None:
    arms = [
        Arm(
            f"norm={norm} lr={lr}",
            {"norm": norm, "lr": lr},
            tuple(
                make_run(seed, [0.1], arm=f"{norm}{lr}", status="diverged" if norm == "none" and lr == "1" else "done")
                for seed in range(4)
            ),
        )
        for norm in ("none", "batch")
        for lr in ("0.1", "1")
    ]
    evidence = Evidence(arms)
    pooled = claim("divergence_difference", a={"norm": "none"}, b={"norm": "batch"})
    same(estimate(pooled, evidence), compare_divergence(4, 8, 0, 8).difference)
    single = claim("divergence_difference", a="norm=none lr=1", b="norm=batch lr=1")
    same(estimate(single, evidence), compare_divergence(4, 4, 0, 4).difference)


def test_the_best_rate_is_chosen_on_other_seeds_than_it_is_reported_on(make_run: MakeRun) -> None:
    scores = {"0.1": [0.9, 0.5, 0.9, 0.6], "1.0": [0.1, 0.99, 0.1, 0.99]}
    arms = [
        Arm(
            f"norm={norm} lr={lr}",
            {"norm": norm, "lr": lr},
            tuple(make_run(seed, [value - shift], arm=f"{norm}{lr}") for seed, value in enumerate(values)),
        )
        for norm, shift in (("a", 0.0), ("b", 0.3))
        for lr, values in scores.items()
    ]
    best = claim("best_difference", a={"norm": "a"}, b={"norm": "b"}, over="lr", metric="test/accuracy")
    found = estimate(best, Evidence(arms))
    assert found.n == (2, 2)
    assert found.value == pytest.approx(0.3)
    assert "0.1 (edge of the grid)" in found.method


def test_a_diverged_run_without_the_number_is_not_dropped_in_silence(make_run: MakeRun) -> None:
    good = Arm("good", {}, tuple(make_run(seed, [0.9], arm="good") for seed in range(3)))
    bad = Arm("bad", {}, (*(make_run(seed, [0.9], arm="bad") for seed in range(2)),
                          make_run(2, [0.1], arm="bad", status="diverged", val_loss=None)))  # fmt: skip
    found = estimate(claim("difference", a="good", b="bad", metric="val/loss"), Evidence([good, bad]))
    assert math.isnan(found.value)
    assert found.note == "1 of 3 runs of bad diverged and have no val/loss"


EVERY_KEY = {
    "metric": "test/accuracy",
    "unit": "steps",
    "factor": "norm",
    "levels": ["none", "batch"],
    "rows": {"lr": ["0.1", "1"]},
    "columns": {"norm": ["none", "batch"]},
    "over": "lr",
}


@pytest.mark.parametrize("kind", KINDS)
def test_without_runs_every_claim_is_undecided_and_says_why(kind: str) -> None:
    cells = [{"norm": norm, "lr": lr} for norm in ("none", "batch") for lr in ("0.1", "1")]
    arms = [Arm(f"{cell['norm']} {cell['lr']}", cell, ()) for cell in cells]
    keys = inspect.signature(KINDS[kind]).parameters
    sides = {"a": {"norm": "none"}, "b": {"norm": "batch"}} if "over" in keys else {"a": "none 1", "b": "batch 1"}
    arguments = {key: value for key, value in (EVERY_KEY | sides).items() if key in keys}
    [verdict] = verdicts([claim(kind, **arguments)], Evidence(arms, Target("val/accuracy", None), "none 1"))
    assert verdict.status == "undecided"
    assert verdict.claim.estimate.note


def test_claims_are_judged_together(two_arms: Evidence) -> None:
    sure = claim("difference", a="a", b="b", metric="test/accuracy", low=0.1)
    close = claim("difference", a="a", b="b", metric="test/accuracy", low=0.16)
    [alone] = verdicts([sure], two_arms)
    together = verdicts([sure] + [close] * 9, two_arms)
    assert alone.status == "supported"
    assert together[0].p_value == pytest.approx(min(1, 10 * alone.p_value))


def test_verdicts_become_plain_json_and_short_rows(two_arms: Evidence, tmp_path: Path) -> None:
    claims = [
        claim("difference", a="a", b="b", metric="test/accuracy", low=0.1, text="A is better"),
        claim("time_ratio", a="b", b="b", unit="steps", low=-math.inf, high=1.0),
    ]
    found = verdicts(claims, two_arms)
    first, second = json.loads(json.dumps(as_json(claims, found), allow_nan=False))
    assert first["status"] == "supported"
    assert first["low"] == 0.1
    assert first["high"] is None
    assert first["interval"][0] < first["estimate"] < first["interval"][1]
    assert first["n"] == [5, 5]
    assert second["estimate"] is None
    assert second["interval"] == [None, None]
    assert row(found[0])[:2] == ["A is better", "supported"]
    assert row(found[1])[3] == "no run of either arm reached the target before the horizon"
