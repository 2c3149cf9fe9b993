"""The rows of a comparison and their caveats, recomputed with plain scipy and numpy."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.analysis.synthetic import write_run

from bnexp.analysis.arms import Arm, by_configuration
from bnexp.analysis.caveats import caveats
from bnexp.analysis.runs import find_runs
from bnexp.analysis.table import Comparison, as_json, cells, compare
from bnexp.analysis.tidy import as_csv, records
from bnexp.errors import ConfigError

RNG = np.random.default_rng(4)
NONE = [float(x) for x in RNG.normal(0.80, 0.02, 5)]
BATCH = [float(x) for x in RNG.normal(0.90, 0.01, 5)]
LAYER = [float(x) for x in RNG.normal(0.81, 0.02, 4)]


def write_arms(root: Path, **arms: list[float]) -> list[Arm]:
    for number, (norm, accuracies) in enumerate(arms.items()):
        for seed, accuracy in enumerate(accuracies):
            write_run(root, f"{number:010d}", seed, norm=norm, accuracy=accuracy, loss=1 - accuracy)
    return by_configuration(find_runs([root])[0])


def table(root: Path, metric: str = "test/accuracy", **arms: list[float]) -> Comparison:
    found = write_arms(root, **arms)
    return compare(found, metric, found[0])


def test_means_have_students_interval(tmp_path: Path) -> None:
    rows = table(tmp_path, none=NONE, batch=BATCH).rows
    for row, values in zip(rows, (NONE, BATCH), strict=True):
        assert row.mean.value == pytest.approx(np.mean(values))
        half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) / math.sqrt(5)
        assert row.mean.interval() == pytest.approx((np.mean(values) - half, np.mean(values) + half))


def test_differences_to_the_baseline_are_welchs(tmp_path: Path) -> None:
    comparison = table(tmp_path, none=NONE, batch=BATCH, layer=LAYER)
    assert comparison.rows[0].difference is None
    for row, values in zip(comparison.rows[1:], (BATCH, LAYER), strict=True):
        assert row.difference is not None
        expected = stats.ttest_ind(values, NONE, equal_var=False)
        assert row.difference.points.interval() == pytest.approx(tuple(expected.confidence_interval()))
        assert row.difference.points.p_value() == pytest.approx(expected.pvalue)


def test_the_chance_of_a_run_to_beat_one_of_the_baseline_is_mann_and_whitneys(tmp_path: Path) -> None:
    row = table(tmp_path, none=NONE, layer=LAYER).rows[1]
    assert row.difference is not None
    expected = stats.mannwhitneyu(LAYER, NONE).statistic / (len(LAYER) * len(NONE))
    assert row.difference.probability_above == pytest.approx(expected)


def test_p_values_are_adjusted_for_all_differences_together(tmp_path: Path) -> None:
    rows = table(tmp_path, none=NONE, batch=BATCH, layer=LAYER).rows
    p = [stats.ttest_ind(values, NONE, equal_var=False).pvalue for values in (BATCH, LAYER)]
    expected = [min(2 * p[0], p[1]), p[1]]  # Benjamini & Hochberg for two, the first being the smaller
    assert [row.p_adjusted for row in rows[1:]] == pytest.approx(expected)
    assert rows[0].p_adjusted is None


def test_an_arm_without_an_interval_takes_no_finding_away(tmp_path: Path) -> None:
    comparison = table(tmp_path, none=NONE, batch=BATCH, one_run=[0.5])
    p = stats.ttest_ind(BATCH, NONE, equal_var=False).pvalue
    assert [row.p_adjusted for row in comparison.rows[1:]] == [pytest.approx(p), 1.0]
    assert not any("together" in line for line in caveats(comparison))


def test_any_arm_can_be_the_baseline(tmp_path: Path) -> None:
    arms = write_arms(tmp_path, none=NONE, batch=BATCH)
    rows = compare(arms, "test/accuracy", arms[1]).rows
    assert rows[1].difference is None
    assert rows[0].difference is not None
    assert rows[0].difference.points.value == pytest.approx(np.mean(NONE) - np.mean(BATCH))


@pytest.mark.parametrize(
    ("metric", "best"), [("test/accuracy", [False, True]), ("test/loss", [False, True]), ("best/epoch", [False, False])]
)
def test_the_best_has_the_highest_accuracy_or_the_lowest_loss(tmp_path: Path, metric: str, best: list[bool]) -> None:
    assert [row.best for row in table(tmp_path, metric, none=NONE, batch=BATCH).rows] == best


def test_a_single_arm_is_not_best_of_anything(tmp_path: Path) -> None:
    comparison = table(tmp_path, none=NONE)
    assert not comparison.rows[0].best
    assert cells(comparison)[1][-2:] == ["baseline", ""]


def test_an_unknown_metric_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^tset/acuracy: no run records .* did you mean 'test/accuracy'"):
        table(tmp_path, "tset/acuracy", none=NONE)


def test_the_cells_say_the_numbers(tmp_path: Path) -> None:
    comparison = table(tmp_path, none=[0.5, 0.7], batch=[0.8, 0.8])
    # s = √0.02 and t = 12.706, so 0.6 ± 12.706·0.1, cut to what an accuracy can be; the second arm has no spread.
    assert cells(comparison) == [
        ["arm", "n", "diverged", "test/accuracy [95 % CI]", "difference [95 % CI]", "P(> baseline)"],
        ["norm=none", "2", "0", "0.6000 [0.0000, 1.0000]", "baseline", ""],
        ["norm=batch", "2", "0", "0.8000 best", "+0.2000 [-1.0000, +1.0000]", "1.00"],
    ]
    assert "No interval for norm=batch: the runs agree exactly: the spread over seeds is unknown." in caveats(
        comparison
    )


def test_runs_that_agree_still_hide_the_rounding_of_an_accuracy_to_one_example(tmp_path: Path) -> None:
    for seed in range(4):
        write_run(tmp_path, "a", seed, norm="none", accuracy=0.5, examples={"test": 100})
        write_run(tmp_path, "b", seed, norm="batch", accuracy=0.75, examples={"test": 20})
    arms = by_configuration(find_runs([tmp_path])[0])
    none, batch = compare(arms, "test/accuracy", arms[0]).rows
    t = stats.t.ppf(0.975, 3)
    for row, value, size in ((none, 0.5, 100), (batch, 0.75, 20)):  # a uniform rounding has variance 1/(12 N²)
        half = t / size / math.sqrt(12 * 4)
        assert row.mean.interval() == pytest.approx((value - half, value + half))
    assert batch.difference is not None
    half = stats.t.ppf(0.975, 6) * math.sqrt(2 / (12 * 20**2 * 4))  # the coarser of the two
    assert batch.difference.points.interval() == pytest.approx((0.25 - half, 0.25 + half))
    assert compare(arms, "test/loss", arms[0]).rows[0].mean.note


def test_losses_have_digits_of_their_own(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 0, loss=0.000123456)
    write_run(tmp_path, "a", 1, loss=0.000223456)
    arms = by_configuration(find_runs([tmp_path])[0])
    assert cells(compare(arms, "test/loss", arms[0]))[1][3] == "0.0001735 [0, 0.0008088]"


def with_divergence(root: Path) -> list[Arm]:
    for seed in range(3):
        write_run(root, "a", seed, accuracy=0.8 + 0.01 * seed, loss=0.5 + 0.01 * seed)
        diverged = {"accuracy": 0.1, "loss": None, "status": "diverged"} if seed == 2 else {"loss": 0.1 + 0.01 * seed}
        write_run(root, "b", seed, norm="batch", **diverged)
    return by_configuration(find_runs([root])[0])


def test_diverged_runs_are_counted_and_keep_their_accuracy(tmp_path: Path) -> None:
    arms = with_divergence(tmp_path)
    comparison = compare(arms, "test/accuracy", arms[0])
    assert cells(comparison)[2][:3] == ["norm=batch", "3", "1"]
    assert comparison.rows[1].mean.value == pytest.approx((0.9 + 0.9 + 0.1) / 3)
    assert "1 run that diverged: counted with the test/accuracy recorded at the end." in caveats(comparison)


def test_a_loss_that_is_not_finite_is_left_out_and_its_arm_is_never_best(tmp_path: Path) -> None:
    arms = with_divergence(tmp_path)
    comparison = compare(arms, "test/loss", arms[0])
    assert cells(comparison)[2][:3] == ["norm=batch", "2 of 3", "1"]
    assert comparison.rows[1].mean.value == pytest.approx(0.105)
    assert [row.best for row in comparison.rows] == [False, False]
    assert any(
        line.startswith("1 run without a finite test/loss, left out of it: norm=batch (1).")
        for line in caveats(comparison)
    )


def test_an_arm_of_which_every_run_diverged_has_no_mean(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 0)
    write_run(tmp_path, "b", 0, norm="batch", loss=None, status="diverged")
    arms = by_configuration(find_runs([tmp_path])[0])
    comparison = compare(arms, "test/loss", arms[0])
    assert cells(comparison)[2] == ["norm=batch", "0 of 1", "1", "– (1 of 1 without a finite test/loss)", "–", "1.00"]
    assert json.loads(json.dumps(as_json(comparison), allow_nan=False))["arms"][1]["mean"] is None


def test_few_seeds_are_exploratory_and_the_seeds_that_are_needed_are_told(tmp_path: Path) -> None:
    [line] = [line for line in caveats(table(tmp_path, none=NONE, layer=LAYER)) if line.startswith("Exploratory")]
    gap = np.mean(LAYER) - np.mean(NONE)
    assert line.startswith(
        f"Exploratory: n = 4 to 5 (a claim wants 10 or more). To show the largest difference, {gap:+.4f}"
    )
    # (1.96 + 0.84)² (s_a² + s_b²) / d²; it comes from a t interval here, so only about.
    normal = (
        (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 * (np.var(NONE, ddof=1) + np.var(LAYER, ddof=1)) / gap**2
    )
    needed = int(line.partition("about ")[2].split()[0])
    assert normal < needed < 1.6 * normal


def test_ten_seeds_are_not_exploratory_and_are_resampled(tmp_path: Path) -> None:
    comparison = table(tmp_path, none=NONE + LAYER + [0.79], batch=BATCH + [x + 0.001 for x in BATCH])
    lines = caveats(comparison)
    assert lines == [
        "Intervals are over the runs of an arm (means: Student; differences: BCa bootstrap), 95 % each for itself."
    ]


def test_differences_that_hold_together_are_counted(tmp_path: Path) -> None:
    lines = caveats(table(tmp_path, none=NONE, batch=BATCH, layer=LAYER))
    assert (
        "Of the 2 differences together, 1 differ from zero with at most 5 % false discoveries (Benjamini–Hochberg)."
        in lines
    )


def test_a_difference_in_versions_is_told(tmp_path: Path) -> None:
    for seed, version in enumerate(["2.11.0", "2.15.0", "2.15.0"]):
        write_run(tmp_path, "a", seed, environment={"torch": version, "device": "cpu"})
    arms = by_configuration(find_runs([tmp_path])[0])
    assert caveats(compare(arms, "test/accuracy", arms[0]))[-1] == (
        "The runs were trained in different surroundings, which can change their numbers "
        "(torch: 2.11.0 in 1 of 3, 2.15.0 in 2 of 3)."
    )


def test_json_holds_the_numbers_of_the_table(tmp_path: Path) -> None:
    found = json.loads(json.dumps(as_json(table(tmp_path, none=NONE, batch=BATCH)), allow_nan=False))
    assert (found["metric"], found["baseline"]) == ("test/accuracy", "norm=none")
    none, batch = found["arms"]
    assert (none["values"], none["seeds"], none["difference"]) == (NONE, [0, 1, 2, 3, 4], None)
    expected = stats.ttest_ind(BATCH, NONE, equal_var=False)
    assert batch["difference"]["interval"] == pytest.approx(list(expected.confidence_interval()))
    assert batch["difference"]["relative"] == pytest.approx(np.mean(BATCH) / np.mean(NONE) - 1)


def rows_of_csv(root: Path, **values: Any) -> list[dict[str, str]]:
    write_run(root, "a", 0, accuracy=0.5)
    write_run(root, "b", 1, accuracy=1e-7, loss=None, **values)
    return list(csv.DictReader(io.StringIO(as_csv(records(by_configuration(find_runs([root])[0]))))))


def test_csv_has_a_row_for_each_run_and_a_column_for_each_value(tmp_path: Path) -> None:
    first, second = rows_of_csv(tmp_path, norm="batch", norm__eps=1e-5)
    assert (first["arm"], first["seed"], first["status"], first["fingerprint"]) == ("norm=none", "0", "done", "a")
    assert (first["norm.eps"], second["norm.eps"]) == ("", "1e-05")
    assert (first["test/loss"], second["test/loss"]) == ("0.3", "")
    assert float(second["test/accuracy"]) == 1e-7
    assert (first["steps"], first["epochs"], first["seconds/total"]) == ("20", "2.0", "2.0")
    assert first.keys() == second.keys()


def test_records_of_different_columns_share_one_table() -> None:
    assert as_csv([{"a": 1}, {"b": 2, "a": 3}]) == "a,b\n1,\n3,2\n"


@pytest.mark.parametrize("value", ["=cmd()", "+1", "-1+cmd", "@SUM(A1)", "='x'!A1"])
def test_a_text_that_a_spreadsheet_would_compute_is_made_harmless(tmp_path: Path, value: str) -> None:
    assert rows_of_csv(tmp_path, norm=value)[1]["norm"] == f"'{value}"


@pytest.mark.parametrize("value", ["<script>alert(1)</script>", 'a "b", c', "a|b`c`", "größe 数据 🙂", "a=1"])
def test_other_texts_come_back_as_they_were(tmp_path: Path, value: str) -> None:
    assert rows_of_csv(tmp_path, norm=value)[1]["norm"] == value


@pytest.mark.parametrize(
    ("value", "cell"), [("\t=1", r"\t=1"), ("\r=1", r"\r=1"), ("a\nb", r"a\nb"), ("a\x00\x1b[2J", r"a\x00\x1b[2J")]
)
def test_control_characters_are_escaped_so_that_a_row_is_a_line(tmp_path: Path, value: str, cell: str) -> None:
    assert rows_of_csv(tmp_path, norm=value)[1]["norm"] == cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [(-0.5, "-0.5"), (-3, "-3"), (True, "true"), (None, ""), ([1, "=2"], "[1,=2]"), ("-0.5", "'-0.5")],
)
def test_numbers_stay_numbers(tmp_path: Path, value: object, cell: str) -> None:
    assert rows_of_csv(tmp_path, model__bias=value)[1]["model.bias"] == cell
