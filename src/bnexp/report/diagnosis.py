"""What to try next in each arm: the gap between training and validation, and how far training got."""

from __future__ import annotations

import math

from bnexp.analysis.runs import Run
from bnexp.analysis.statistics.guessing import Answers, may_guess
from bnexp.report.document import Column, Section, Table
from bnexp.report.numbers import accuracy, points
from bnexp.report.outcome import Outcome
from bnexp.signals.rounding import as_written
from bnexp.studies.evidence import measure
from bnexp.studies.plan import PlannedArm

GAP = 0.05
LOW = 0.95
DIGITS = ".4f"
"""Of the numbers in the table, which the rules go by."""

COLUMNS = (
    Column("arm", "text"),
    Column("train accuracy"),
    Column("validation accuracy"),
    Column("gap"),
    Column("diagnosis", "text"),
)

READING = (
    "The first rule that holds is given. (1) A run diverged. (2) A run may be guessing: on no split "
    "has it more right answers than guessing the most frequent class gets, but for once in 740 times (binomial). "
    f"(3) The gap is {GAP:g} or more: regularize. "
    f"(4) Both accuracies are below {LOW:g} and in at least half of the runs the last validation loss is the lowest: "
    f"train longer first. (5) Both accuracies are below {LOW:g}: more capacity. (6) Else nothing stands out. "
    "The gap is training less validation accuracy at the last evaluation; training accuracy is the mean over the "
    "steps since the evaluation before, with dropout and augmentation on where an arm has them. These are rules of "
    "thumb, without intervals; they go by the numbers as they are written here."
)


def diagnosis_section(outcome: Outcome) -> Section:
    """Return a line for each arm that has a finished run."""
    arms = {arm.label for arm in outcome.different_arms}
    rows = [_row(outcome, item) for item in outcome.plan.arms if item.arm.label in arms]
    if not rows:
        return Section("diagnosis", "Diagnosis", ("No run has finished.",))
    return Section("diagnosis", "Diagnosis", (Table(COLUMNS, tuple(rows)), READING))


def diagnose(train: float, gap: float, share_diverged: float, share_guessing: float, share_improving: float) -> str:
    """Return the diagnosis of an arm.

    Args:
        train: mean training accuracy at the last evaluation; NaN where it is unknown for a run.
        gap: mean of training less validation accuracy there; NaN where a run has no score.
        share_diverged: share of its runs that diverged.
        share_guessing: share of its runs that may be guessing.
        share_improving: share of its runs whose last validation loss is the lowest.
    """
    if share_diverged:
        return f"training diverges{_often(share_diverged)}: a lower learning rate, another init or a norm"
    if not math.isfinite(train + gap):
        return "unknown: a run has no score" if math.isfinite(train) else "unknown: no training accuracy was recorded"
    val = as_written(train - gap, DIGITS)
    gap, train = as_written(gap, DIGITS), as_written(train, DIGITS)
    if share_guessing:
        return f"does not train{_often(share_guessing)}: look at learning rate, init and norm before capacity"
    if gap >= GAP:
        return "overfits: regularize (more data, augmentation, weight decay, dropout, early stopping)"
    if max(train, val) < LOW:
        return "still improving: train longer first" if share_improving >= 0.5 else "underfits: more capacity"
    return "nothing stands out"


def _row(outcome: Outcome, item: PlannedArm) -> tuple[str, ...]:
    label = item.arm.label
    runs = outcome.evidence.runs[label]
    train, val, gap = (
        outcome.mean(label, metric).value for metric in ("train/accuracy", "val/accuracy", "gap/accuracy")
    )
    guessing = sum(may_guess(item.chance, _answers(item, run)) for run in runs)
    counts = outcome.evidence.arms[label].num_diverged, guessing, sum(map(_improving, runs))
    finding = diagnose(train, gap, *(count / len(runs) for count in counts))
    return (label, accuracy(train), accuracy(val), points(gap), finding)


def _often(share: float) -> str:
    return "" if share == 1 else f" in {share:.0%} of the runs"


def _answers(item: PlannedArm, run: Run) -> list[Answers]:
    """Return what a run got right of each split whose accuracy is known."""
    found = measure(run)
    known = ((found[f"{split}/accuracy"], split) for split in ("train", "val", "test"))
    return [Answers(value, item.num_examples[split]) for value, split in known if value is not None]


def _improving(run: Run) -> bool:
    losses = [math.nan if (value := row.get("val/loss")) is None else value for row in run.rows]
    finite = [loss for loss in losses if math.isfinite(loss)]
    return len(finite) > 1 and losses[-1] == min(finite)
