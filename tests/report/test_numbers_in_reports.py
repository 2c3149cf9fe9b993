"""Every number in a report is found again from ``results.csv`` and ``curves.csv``, by plain numpy and scipy."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from markdown_it import MarkdownIt
from scipy import stats
from statsmodels.formula.api import ols
from tests.report.conftest import FakeRun, outcome_of
from tests.report.page import Page

from bnexp.report.write import write_report

TEST, STEPS = "test/accuracy", "steps_to_target"
RESOLUTION = 1 / 250
NODE = {
    "factors": {"norm": ["none", "batch"], "optimizer.lr": [0.01, 0.1, 1.0]},
    "baseline": "norm=none optimizer.lr=0.01",
    "target": {"metric": "val/accuracy", "value": 0.7},
    "claims": [
        {"text": "BN helps", "source": "C3", "kind": "difference", "metric": TEST, "low": 0.0,
         "a": "norm=batch optimizer.lr=0.01", "b": "norm=none optimizer.lr=0.01"},
        {"text": "A rate of 1 is as good", "kind": "equivalence", "metric": TEST, "margin": 0.01,
         "a": "norm=batch optimizer.lr=1.0", "b": "norm=batch optimizer.lr=0.1"},
        {"text": "A level", "kind": "level", "metric": TEST, "high": 0.5, "a": "norm=none optimizer.lr=1.0"},
    ],
}  # fmt: skip


class Study:
    """The tables that a study left, and what a reader sees of its report, in HTML and in Markdown."""

    def __init__(self, output_dir: Path, seeds: int) -> None:
        rng = np.random.default_rng(seeds)
        levels = {"none": (0.70, 0.74, 0.30), "batch": (0.73, 0.80, 0.78)}
        runs = {}
        for norm, means in levels.items():
            for rate, middle in zip(("0.01", "0.1", "1.0"), means, strict=True):
                runs[f"norm={norm} optimizer.lr={rate}"] = [self.run(rng, middle) for _ in range(seeds)]
        outcome = outcome_of(output_dir, {**NODE, "seeds": seeds}, runs)
        path = write_report(outcome)
        self.results = pd.read_csv(path.with_name("results.csv"))
        self.curves = pd.read_csv(path.with_name("curves.csv"))
        markdown = path.with_name("report.md").read_text(encoding="utf-8")
        parser = MarkdownIt("commonmark", {"html": True}).enable("table")
        self.pages = [Page.of(path.read_text(encoding="utf-8")), Page.of(parser.render(markdown))]

    @staticmethod
    def run(rng: np.random.Generator, middle: float) -> FakeRun:
        val = np.clip(middle + np.array([-0.2, -0.05, 0.0]) + rng.normal(0, 0.03, 3), 0, 1).round(2)
        train = np.clip(val + rng.normal(0.03, 0.03, 3), 0, 1)
        diverged = middle < 0.5 and rng.random() < 0.4
        return FakeRun(
            val=[*map(float, val)],
            test=float(np.clip(middle + rng.normal(0, 0.02), 0, 1)),
            train=[*map(float, train)],
            losses=[*map(float, rng.uniform(0.5, 1.0, 3))],
            status="diverged" if diverged else "done",
            step_seconds=float(rng.uniform(0.01, 0.02)),
        )

    @property
    def arms(self) -> list[str]:
        return [*dict.fromkeys(self.results["arm"])]

    def values(self, arm: str, column: str = TEST) -> np.ndarray:
        return self.results.loc[self.results["arm"] == arm, column].to_numpy(float)


@pytest.fixture(scope="module", params=[4, 12], ids="{} seeds".format)
def study(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Study:
    return Study(tmp_path_factory.mktemp("study"), request.param)


def written(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


def interval(ends: Sequence[float], form: str) -> str:
    return " to ".join(written(end, form) for end in ends)


def variance(values: np.ndarray, resolution: float = RESOLUTION) -> float:
    """Of one run; no less than that of a rounding to the resolution."""
    return max(values.var(ddof=1), resolution**2 / 12)


def student(values: np.ndarray, resolution: float = RESOLUTION) -> tuple[float, float]:
    scale = math.sqrt(variance(values, resolution) / len(values))
    return stats.t.interval(0.95, len(values) - 1, values.mean(), scale)


def welch_df(a: np.ndarray, b: np.ndarray) -> float:
    va, vb = variance(a) / len(a), variance(b) / len(b)
    return (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Welch's interval below ten runs, scipy's BCa from ten, at the level that docs/statistics.md widens it to."""
    if min(len(a), len(b)) < 10:
        scale = math.sqrt(variance(a) / len(a) + variance(b) / len(b))
        return stats.t.interval(0.95, welch_df(a, b), a.mean() - b.mean(), scale)
    stretch = math.sqrt(len(a) / (len(a) - 1))  # arms of one size
    level = 2 * stats.norm.cdf(stretch * stats.t.ppf(0.975, welch_df(a, b))) - 1
    found = stats.bootstrap(
        (a, b),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        n_resamples=9999,
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(0),
    )
    return found.confidence_interval.low, found.confidence_interval.high


def fieller(a: np.ndarray, b: np.ndarray, resolution: float = 0.0) -> tuple[float, float]:
    va, vb = variance(a, resolution) / len(a), variance(b, resolution) / len(b)
    a0, b0 = a.mean(), b.mean()
    parts = va, (a0 / b0) ** 2 * vb
    df = sum(parts) ** 2 / (parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    t = stats.t.ppf(0.975, df)
    # The ratios that a0 − ρ b0 does not tell from zero: the roots of a quadratic.
    ends = np.roots([b0**2 - t**2 * vb, -2 * a0 * b0, a0**2 - t**2 * va])
    return float(min(ends)), float(max(ends))


def p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def test_the_arms(study: Study) -> None:
    reference = study.values(study.arms[0])
    expected = []
    for arm in study.arms:
        values = study.values(arm)
        diverged = (study.results.loc[study.results["arm"] == arm, "status"] == "diverged").sum()
        gap = ["baseline", "", ""]
        if arm != study.arms[0]:
            above = np.mean([(a > b) + 0.5 * (a == b) for a in values for b in reference])
            found = values.mean() - reference.mean(), difference(values, reference)
            gap = [written(found[0], "+.4f"), interval(found[1], "+.4f"), f"{above:.2f}"]
        row = [arm, str(len(values)), str(diverged), written(values.mean(), ".4f"), interval(student(values), ".4f")]
        expected.append([*row, *gap])
    for page in study.pages:
        assert page.tables["Arms"][0][1:] == expected


def test_the_verdicts(study: Study) -> None:
    a, b = study.values("norm=batch optimizer.lr=0.01"), study.values("norm=none optimizer.lr=0.01")
    c, d = study.values("norm=batch optimizer.lr=1.0"), study.values("norm=batch optimizer.lr=0.1")
    e = study.values("norm=none optimizer.lr=1.0")
    estimates = [a.mean() - b.mean(), c.mean() - d.mean(), e.mean()]
    intervals = [difference(a, b), difference(c, d), student(e)]
    bounds = [(0.0, math.inf), (-0.01, 0.01), (-math.inf, 0.5)]
    for page in study.pages:
        rows = [row for row in page.tables["Verdicts"][0][1:] if len(row) > 1]
        assert [row[3] for row in rows] == [written(value, ".3g") for value in estimates]
        assert [row[4] for row in rows] == [interval(ends, ".3g") for ends in intervals]
        assert [row[5] for row in rows] == ["≥ 0", "−0.01 to 0.01", "≤ 0.5"]
        assert [row[6] for row in rows] == [str(len(a))] * 3
        inside = [low >= least and high <= most for (low, high), (least, most) in zip(intervals, bounds, strict=True)]
        for row, fits in zip(rows, inside, strict=True):
            assert fits or row[2] != "supported"
            adjusted = 0.0 if row[7].startswith("<") else float(row[7])
            assert (row[2] == "undecided") == (adjusted > 0.05)
    if len(a) < 10:  # Holm's adjustment of three two-sided p-values by Student's t
        scale = [math.sqrt(variance(x) / len(x) + variance(y) / len(y)) for x, y in ((a, b), (c, d))]
        t = stats.t(welch_df(a, b)), stats.t(welch_df(c, d)), stats.t(len(e) - 1)
        raw = []
        for value, error, student_t, (low, high) in zip(
            estimates, [*scale, math.sqrt(variance(e) / len(e))], t, bounds, strict=True
        ):
            below, above = student_t.cdf((low - value) / error), student_t.sf((high - value) / error)
            raw.append(min(1.0, 2 * max(below, above), 2 * min(1 - below, 1 - above)))  # inside or outside
        for index, threshold in ((0, 0.0), (1, math.copysign(0.01, estimates[1]))):
            # (z(1 − α/2) + z(0.8))² (sd² + sd²)/gap²
            error = scale[index]
            z = stats.norm.ppf(1 - 0.05 / 3 / 2) + stats.norm.ppf(0.8)
            needed = max(len(a) + 1, math.ceil(len(a) * (z * error / (estimates[index] - threshold)) ** 2))
            for page in study.pages:
                row = [row for row in page.tables["Verdicts"][0][1:] if len(row) > 1][index]
                assert row[8] == (f"about {needed}" if row[2] == "undecided" else "")
        holm = sm.stats.multipletests(raw, method="holm")[1]
        for page in study.pages:
            rows = [row for row in page.tables["Verdicts"][0][1:] if len(row) > 1]
            assert [row[7] for row in rows] == [p(value) for value in holm]


def test_the_answer(study: Study) -> None:
    a, b = study.values("norm=batch optimizer.lr=0.01"), study.values("norm=none optimizer.lr=0.01")
    method = "Welch" if len(a) < 10 else "BCa bootstrap"
    sentence = (
        f"claimed is at least 0, found {written(a.mean() - b.mean(), '.3g')} "
        f"(95 % interval {interval(difference(a, b), '.3g')}; {method}, n = {len(a)})"
    )
    diverged = (study.results["status"] == "diverged").sum()
    for page in study.pages:
        rows = [row for row in page.tables["Verdicts"][0][1:] if len(row) > 1]
        text = " ".join(page.texts["Does it?"])
        assert sentence in text
        for status in ("supported", "contradicted", "undecided"):
            numbers = [row[0] for row in rows if row[2] == status]
            assert not numbers or f"{len(numbers)} {'is' if len(numbers) == 1 else 'are'} {status} (" in text
        assert ("Exploratory: 4 seeds an arm" in text) == (len(a) == 4)
        assert f"{diverged} of {len(study.results)} finished runs diverged" in text
        tests = study.results[TEST].to_numpy(float)
        exact = [stats.beta.ppf((0.025, 0.975), (250 * p, 250 * p + 1), (251 - 250 * p, 250 - 250 * p)) for p in tests]
        low, high = max(exact, key=lambda ends: ends[1] - ends[0])  # wider than 0.1 where an accuracy is near 0.5
        assert high - low > 0.1
        assert "an accuracy on 250 test examples changes in steps of 0.004" in text
        assert f"may stand for {low:.4f} to {high:.4f} (95%, binomial)" in text


def test_the_times(study: Study) -> None:
    def durations(arm: str) -> np.ndarray:
        return study.values(arm, STEPS)

    # Budgets are all 30 steps, so the restricted mean up to 30 is the mean of the times, those that never came at 30.
    capped = {arm: np.nan_to_num(durations(arm), nan=30.0) for arm in study.arms}
    status = study.results.set_index(["arm", "seed"])["status"]
    for page in study.pages:
        rows = page.tables["Time to target"][0][1:]
        assert [row[0] for row in rows] == study.arms
        for row in rows:
            arm, times = row[0], durations(row[0])
            reached = np.isfinite(times)
            assert row[1] == f"{reached.sum()} of {len(times)}"
            ordered = np.sort(np.where(reached, times, np.inf))
            half = ordered[math.ceil(len(times) / 2) - 1]
            never = all(status[arm] == "diverged")
            assert row[2] == ("never" if never else f"{half:.0f}" if np.isfinite(half) else "> 30")
            mean = capped[arm].mean()
            assert row[3] == (f"{mean:.0f}" if mean == round(mean) else f"{mean:.1f}")
            ends = np.clip(student(capped[arm], 10.0), 0, 30)
            if reached.any():
                found = [float(end.replace("−", "-")) for end in row[4].split(" to ")]
                assert found == pytest.approx(ends, abs=0.051)
            else:
                assert row[4] == "no run arrived"
            if arm != study.arms[0]:
                reference = capped[study.arms[0]]
                if min(*capped[arm], *reference) == 30:
                    assert row[5:7] == ["–", "no run arrived"]
                    continue
                assert row[5] == written(mean / reference.mean(), ".3g")
                assert row[6] == interval(fieller(capped[arm], reference, 10.0), ".3g")
                data = [
                    stats.CensoredData.right_censored(np.nan_to_num(t, nan=30.0), np.isnan(t))
                    for t in (times, durations(study.arms[0]))
                ]
                assert row[7] == p(stats.logrank(*data).pvalue)


def test_the_seconds_to_the_target(study: Study) -> None:
    """Runs are followed for different times, so this takes the whole Kaplan–Meier curve, which scipy has."""
    for page in study.pages:
        for row in page.tables["Time to target"][0][1:]:
            times, budgets = study.values(row[0], "seconds_to_target"), study.values(row[0], "seconds")
            diverged = (study.results.loc[study.results["arm"] == row[0], "status"] == "diverged").to_numpy()
            missed = np.isnan(times)
            # A run that diverged never arrives; 1e6 stands for that.
            ends = np.where(missed, np.where(diverged, 1e6, budgets), times)
            survival = stats.ecdf(stats.CensoredData.right_censored(ends, missed)).sf
            half = survival.quantiles[survival.probabilities <= 0.5 + 1e-12]
            assert row[8] == (f"{half[0]:.3g}" if missed.mean() <= 0.5 else "–")


def test_the_factors(study: Study) -> None:
    frame = study.results.rename(columns={TEST: "y", "optimizer.lr": "lr"})
    table = sm.stats.anova_lm(ols("y ~ C(norm) * C(lr)", frame).fit(), typ=2)
    residual, total = table.loc["Residual", "sum_sq"], ((frame["y"] - frame["y"].mean()) ** 2).sum()
    expected = []
    for name, line in {"norm": "C(norm)", "optimizer.lr": "C(lr)", "norm × optimizer.lr": "C(norm):C(lr)"}.items():
        squares = table.loc[line, "sum_sq"]
        numbers = squares, table.loc[line, "df"], table.loc[line, "F"]
        shares = squares / total, squares / (squares + residual)
        told = [f"{numbers[0]:.3g}", f"{numbers[1]:.0f}", f"{numbers[2]:.3g}", p(table.loc[line, "PR(>F)"])]
        expected.append([name, *told, *(f"{share:.3g}" for share in shares)])
    means = frame.groupby(["norm", "lr"])["y"].mean()
    cells = [[norm, *(f"{means[norm, rate]:.4f}" for rate in (0.01, 0.1, 1.0))] for norm in ("none", "batch")]
    contrasts = {
        (one, other): (means["batch", other] - means["batch", one]) - (means["none", other] - means["none", one])
        for one, other in ((0.01, 0.1), (0.01, 1.0), (0.1, 1.0))
    }
    (one, other), value = max(contrasts.items(), key=lambda item: abs(item[1]))
    parts = [study.values(f"norm={norm} optimizer.lr={rate}") for norm in ("none", "batch") for rate in (one, other)]
    variances = [part.var(ddof=1) / len(part) for part in parts]
    df = sum(variances) ** 2 / sum(v**2 / (len(part) - 1) for v, part in zip(variances, parts, strict=True))
    ends = stats.t.interval(1 - 0.05 / 3, df, value, math.sqrt(sum(variances)))
    for page in study.pages:
        assert page.tables["Factors: norm × optimizer.lr"][0][1:] == cells
        assert page.tables["Factors: norm × optimizer.lr"][1][1:] == expected
        [sentence] = [text for text in page.texts["Factors: norm × optimizer.lr"] if text.startswith("Largest")]
        assert f"from {one} to {other} does at norm=batch, less what it does at norm=none," in sentence
        assert f"is {written(value, '+.4f')} (95 % interval {interval(ends, '+.4f')}, widened for the 3" in sentence


def test_the_learning_rates(study: Study) -> None:
    ceilings = [stats.binom.ppf(1 - 0.00135, n, 0.1) / n for n in (100, 250)]
    expected, best = [], []
    for rate in (0.01, 0.1, 1.0):
        for norm in ("none", "batch"):
            at = study.results[(study.results["norm"] == norm) & (study.results["optimizer.lr"] == rate)]
            values = at[TEST].to_numpy(float)
            told = [f"{values.mean():.4f}", interval(student(values), ".4f")]
            expected.append([f"{rate:g}", f"norm={norm}", *told, f"{(at['status'] == 'diverged').sum()} of {len(at)}"])
    for norm in ("none", "batch"):
        of = study.results[study.results["norm"] == norm]
        even = of[of["seed"] % 2 == 0].groupby("optimizer.lr")["val/accuracy"].mean()
        rate = even.idxmax()
        odd = of[(of["seed"] % 2 == 1) & (of["optimizer.lr"] == rate)][TEST].to_numpy(float)
        guesses = (of["val/accuracy"] <= ceilings[0]) & (of[TEST] <= ceilings[1])
        bad = of[(of["status"] == "diverged") | guesses]["optimizer.lr"]
        stable = max(set(of["optimizer.lr"]) - set(bad))
        told = [f"{rate:g}" + (" (edge of the grid)" if rate in (0.01, 1.0) else "")]
        told.append(f"{stable:g}" + (" (edge of the grid)" if stable == 1.0 else ""))
        middle = [str(len(odd)), f"{odd.mean():.4f}", interval(student(odd), ".4f")]
        best.append([f"norm={norm}", told[0], *middle, told[1]])
    for page in study.pages:
        assert page.tables["Over the learning rate"][0][1:] == expected
        assert page.tables["Over the learning rate"][1][1:] == best


def test_the_diagnosis_and_the_cost(study: Study) -> None:
    last = study.curves[study.curves["step"] == 30].set_index("arm")
    diagnosis, cost = [], []
    reference = 1000 * study.values(study.arms[0], "seconds/step")
    for index, arm in enumerate(study.arms):
        train, val = (last.loc[arm, f"{split}/accuracy"].mean() for split in ("train", "val"))
        gap = written((last.loc[arm, "train/accuracy"] - last.loc[arm, "val/accuracy"]).mean(), "+.4f")
        diagnosis.append([arm, f"{train:.4f}", f"{val:.4f}", gap])
        times = 1000 * study.values(arm, "seconds/step")
        compared = ["baseline", ""]
        if index:
            compared = [f"{times.mean() / reference.mean():.3g}", interval(fieller(times, reference), ".3g")]
        row = [arm, f"{times.mean():.3g}", interval(student(times, 0.0), ".3g"), *compared, f"{1000 + 10 * index:,}"]
        cost.append([*row, f"{(1000 + 10 * index) / 1000:.3g}" if index else "baseline"])
    for page in study.pages:
        assert [row[:4] for row in page.tables["Diagnosis"][0][1:]] == diagnosis
        assert page.tables["Cost"][0][1:] == cost


def test_no_number_stands_anywhere_else(study: Study) -> None:
    """Beyond the tables and sentences that are recomputed above, only these fixed ones."""
    fixed = {"0", "95", "0.05", "0.1", "10", "0.95", "1", "2", "3", "4", "5", "6", "0.7", "30", "740"}
    recomputed = re.compile(
        r"^(# |Of the|\d+ of|Exploratory|Few examples|Largest inter|The first says|The best rate|bnexp |\d+ runs)"
    )
    for page in study.pages:
        verdicts = [row[8] for row in page.tables["Verdicts"][0] if len(row) > 1]
        for heading, texts in page.texts.items():
            for text in texts:
                numbers = set() if recomputed.match(text) else set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text))
                told = {n for n in re.findall(r"needs about (\d+) seeds", text) if f"about {n}" in verdicts}
                assert numbers <= fixed | told | {*re.findall(r"[\d.]+", " ".join(study.arms))}, (heading, text)
