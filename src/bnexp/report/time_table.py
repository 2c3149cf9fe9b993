"""How soon each arm reaches the target, when some of its runs never do."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bnexp.analysis.arms import Arm
from bnexp.analysis.statistics.student import contrast
from bnexp.analysis.statistics.survival import common_horizon, kaplan_meier, log_rank, restricted_mean, time_ratio
from bnexp.analysis.statistics.target import Durations
from bnexp.report.document import Block, Column, Table
from bnexp.report.numbers import NONE, amount, between, general, interval, p_value, why_no_interval
from bnexp.report.outcome import Outcome

COLUMNS = (
    Column("arm", "text"),
    Column("reached"),
    Column("median steps"),
    Column("mean steps"),
    Column("95 % interval"),
    Column("ratio to baseline"),
    Column("95 % interval"),
    Column("log-rank p"),
    Column("mean seconds"),
)


def time_blocks(outcome: Outcome) -> tuple[Block, ...]:
    """Return the table of times to target with the words that it needs; a sentence where there is no target."""
    if outcome.target is None:
        why = "The target comes from the baseline, which has no finished run." if outcome.plan.study.target else ""
        return (why or "The study sets no target.",)
    target, value = outcome.target
    durations = {arm.label: outcome.evidence.durations(arm.label, "steps") for arm in outcome.arms if arm.runs}
    if not durations:
        return ("No run has finished.",)
    seconds = {label: outcome.evidence.durations(label, "seconds") for label in durations}
    horizon, last_second = common_horizon(*durations.values()), common_horizon(*seconds.values())
    rows = tuple(
        _time_row(outcome, arm, durations, seconds, (horizon, last_second))
        for arm in outcome.arms
        if arm.label not in outcome.twins
    )
    where = "at least" if target.higher_is_better else "at most"
    reading = f"Target: {target.metric} {where} {general(value)}" + (
        ", the median of the baseline's best values." if target.value is None else "."
    )
    if math.isfinite(horizon):
        reading += (
            f" The means are restricted: the time spent short of the target, up to {amount(horizon)} steps or "
            f"{general(last_second)} seconds of training. A run that never arrives counts with all of that, and so "
            "does one that diverged; no interval reaches below 0 or beyond that. The ratios are those of these means, "
            "with Fieller's interval; the ratio of a claim may look further, as far as its two arms were followed. "
            "The log-rank p-values compare with the baseline and are not adjusted."
        )
    return (Table(COLUMNS, rows), reading)


def _time_row(
    outcome: Outcome,
    arm: Arm,
    steps: Mapping[str, Durations],
    seconds: Mapping[str, Durations],
    horizons: tuple[float, float],
) -> tuple[str, ...]:
    if not arm.runs:
        return (arm.label, *[NONE] * (len(COLUMNS) - 1))
    own = steps[arm.label]
    reached = f"{own.reached.sum()} of {len(own.times)}"
    if not math.isfinite(horizons[0]):  # every run diverged
        return (arm.label, reached, _median(own), *[NONE] * (len(COLUMNS) - 3))
    area = restricted_mean(own, horizons[0], outcome.evidence.grid(arm.label, "steps"))
    found = contrast([area], [1.0], "Greenwood")
    low, high = found.interval()
    in_seconds = restricted_mean(seconds[arm.label], horizons[1])
    return (
        arm.label,
        reached,
        _median(own),
        amount(found.value),
        why_no_interval(found) or between(amount(max(low, 0.0)), amount(min(high, horizons[0]))),
        *_pace(outcome, arm, steps, horizons[0]),
        general(in_seconds.value),
    )


def _pace(outcome: Outcome, arm: Arm, steps: Mapping[str, Durations], horizon: float) -> tuple[str, str, str]:
    """Return the ratio to the baseline's mean time, its interval, and the log-rank p-value."""
    baseline = outcome.baseline.label
    if outcome.is_baseline(arm.label):
        return "baseline", "", ""
    if baseline not in steps:
        return NONE, "no run", NONE
    one, other = steps[arm.label], steps[baseline]
    grid = max(outcome.evidence.grid(arm.label, "steps"), outcome.evidence.grid(baseline, "steps"))
    found = time_ratio(one, other, horizon, grid)
    return general(found.value), interval(found, general), p_value(log_rank(one, other).p_value)


def _median(durations: Durations) -> str:
    """The median time to target; that it is longer than the runs were, where fewer than half of them arrived."""
    median = kaplan_meier(durations).median
    if median is not None:
        return amount(median)
    followed = durations.times[np.isfinite(durations.times)]
    return f"> {amount(float(followed.max()))}" if len(followed) else "never"
