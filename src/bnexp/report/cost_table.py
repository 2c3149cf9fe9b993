"""What each arm costs: milliseconds a training step, and parameters."""

from __future__ import annotations

from collections import Counter

from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.ratio import ratio
from bnexp.analysis.statistics.sample import sample_mean
from bnexp.report.document import Column, Section, Table
from bnexp.report.numbers import NONE, general, interval
from bnexp.report.outcome import Outcome
from bnexp.studies.launch import LOCKSTEP
from bnexp.studies.launches import Launch, read_launches
from bnexp.studies.plan import PlannedArm

METRIC = "seconds/step"
COLUMNS = (
    Column("arm", "text"),
    Column("ms a step"),
    Column("95 % interval"),
    Column("ratio to baseline"),
    Column("95 % interval"),
    Column("parameters"),
    Column("ratio to baseline"),
)


def cost_section(outcome: Outcome) -> Section:
    """Return the table of costs, and under which load the seconds were measured."""
    first = next(item for item in outcome.plan.arms if item.arm.label == outcome.baseline.label)
    rows = tuple(_row(outcome, item, first) for item in outcome.plan.arms if item.arm.label not in outcome.twins)
    reading = (
        f"{measured_with(outcome)} A step is forward, backward and update; evaluations, records and the reading of the "
        "data are not in it. Parameters are those that training changes; running statistics are not among them."
    )
    return Section("cost", "Cost", (Table(COLUMNS, rows), reading))


def measured_with(outcome: Outcome) -> str:
    """Say how many runs shared the machine while seconds were measured."""
    launches = read_launches(outcome.plan.folder)
    if not launches:
        return "How many runs shared the machine while the seconds were measured is not known."
    counts: Counter[str] = Counter()
    for launch in launches:
        counts[_load(launch)] += launch.runs
    parts = [load if len(counts) == 1 else f"{load} ({runs} runs launched)" for load, runs in counts.items()]
    finished = len({run.path for arm in outcome.arms for run in arm.runs})
    elsewhere = max(0, finished - counts.total())
    told = f"; of {elsewhere} runs or more, trained otherwise, it is not known" if elsewhere else ""
    return f"Seconds were measured with {' and '.join(parts)}{told}."


def _load(launch: Launch) -> str:
    if launch.launcher == LOCKSTEP:
        return (
            "seeds of an arm in lockstep, as many as the GPU trains fastest (`launch.replicas` in `result.json`); the "
            "seconds of a run are its share"
        )
    if launch.at_a_time is None:
        return f"as many runs at a time as the launcher {launch.launcher} placed on a machine"
    return "one run at a time" if launch.at_a_time == 1 else f"{launch.at_a_time} runs at a time"


def _row(outcome: Outcome, item: PlannedArm, first: PlannedArm) -> tuple[str, ...]:
    label, baseline = item.arm.label, first.arm.label
    milliseconds = [1000 * value for value in outcome.values(label, METRIC)]
    reference = [1000 * value for value in outcome.values(baseline, METRIC)]
    found = outcome.mean(label, METRIC)
    same = outcome.is_baseline(label)
    compared = ("baseline", "") if same else _ratio(milliseconds, reference)
    return (
        label,
        general(1000 * found.value),
        interval(found, lambda seconds: general(1000 * seconds)),
        *compared,
        f"{item.num_parameters:,}",
        "baseline" if same else general(item.num_parameters / first.num_parameters) if first.num_parameters else NONE,
    )


def _ratio(values: list[float], reference: list[float]) -> tuple[str, str]:
    if not (values and reference):
        return NONE, "no run"
    found: Estimate = ratio(sample_mean(values), sample_mean(reference), least=0.0)
    return general(found.value), interval(found, general)
