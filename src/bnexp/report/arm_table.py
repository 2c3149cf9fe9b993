"""The arms: how good each one is, and how much better than the baseline."""

from __future__ import annotations

from bnexp.analysis.arms import Arm
from bnexp.analysis.metrics import metric_range
from bnexp.analysis.statistics.difference import compare
from bnexp.report.document import Column, Items, Section, Table
from bnexp.report.numbers import NONE, accuracy, interval, points, share
from bnexp.report.outcome import Outcome
from bnexp.studies.plan import PlannedArm

METRIC = "test/accuracy"

COLUMNS = (
    Column("arm", "text"),
    Column("n"),
    Column("diverged"),
    Column("test accuracy"),
    Column("95 % interval"),
    Column("difference from baseline"),
    Column("95 % interval"),
    Column("P(A > B)"),
)


def arm_section(outcome: Outcome) -> Section:
    """Return the table of accuracies, its notes, and which arms are other names for the same runs."""
    table = Table(COLUMNS, tuple(_arm_row(outcome, item) for item in outcome.plan.arms))
    reading = (
        f"Baseline: {outcome.baseline.label}. The test set is only reported; nothing was chosen by it. Intervals of "
        "means are Student's, those of differences Welch's below ten runs of the smaller arm and a BCa bootstrap's "
        "from ten; none is adjusted for the number of arms, as verdicts are for the number of claims. P(A > B) is the "
        "share of pairs of a run of the arm and one of the baseline in which the arm's is better, ties half. A run "
        "that diverged counts with the accuracy it ended at; an arm with a run whose network had outputs that are not "
        "finite numbers, and so no score, has no mean: that of the others would be the mean of its better runs. An "
        "arm on other data than the baseline's is not compared with it."
    )
    twins = [f"{label} is another name for the runs of {first}." for label, first in outcome.twins.items()]
    notes = [*twins, *_reasons(outcome)]
    return Section("arms", "Arms", (table, reading, *([Items(tuple(notes))] if notes else [])))


def _arm_row(outcome: Outcome, item: PlannedArm) -> tuple[str, ...]:
    arm = outcome.evidence.arms[item.arm.label]
    planned = len(item.jobs)
    n = str(planned) if len(arm.runs) == planned else f"{len(arm.runs)} of {planned}"
    found = outcome.mean(arm.label)
    return (arm.label, n, str(arm.num_diverged), accuracy(found.value), interval(found, accuracy), *_gap(outcome, arm))


def _gap(outcome: Outcome, arm: Arm) -> tuple[str, str, str]:
    """Return the difference from the baseline, its interval and P(A > B)."""
    baseline = outcome.baseline
    if arm is baseline:
        return "baseline", "", ""
    if outcome.is_baseline(arm.label):
        return "the baseline's runs", "", ""
    values, reference = outcome.values(arm.label), outcome.values(baseline.label)
    if not (arm.runs and baseline.runs):
        return NONE, "no run", NONE
    if not outcome.evidence.is_same_data(arm.label, baseline.label):
        return NONE, "other data", NONE
    if not all(outcome.evidence.is_complete(one.label, METRIC) for one in (arm, baseline)):
        return NONE, "some without score", NONE
    found = compare(values, reference, outcome.evidence.resolution(arm.label, METRIC), metric_range(METRIC))
    return points(found.points.value), interval(found.points, points), share(found.probability_above)


def _reasons(outcome: Outcome) -> list[str]:
    """Say why an arm has no interval, once for each reason."""
    found: dict[str, list[str]] = {}
    for arm in outcome.arms:
        if note := outcome.mean(arm.label).note:
            found.setdefault(note if arm.runs else "no run has finished", []).append(arm.label)
    return [f"No interval for {', '.join(labels)}: {note}." for note, labels in found.items()]
