"""What stands in a report, and in which order."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bnexp.analysis.arms import Arm
from bnexp.analysis.curves import PANELS, drawable
from bnexp.report.answer import answer, cautions
from bnexp.report.arm_table import arm_section
from bnexp.report.cost_table import cost_section
from bnexp.report.diagnosis import diagnosis_section
from bnexp.report.document import Block, Figure, Figures, Items, Report, Section
from bnexp.report.factorial_table import READING, Grid, effects_table, grids, means_table
from bnexp.report.figures.arrivals import draw_arrivals
from bnexp.report.figures.every_seed import draw_every_seed
from bnexp.report.figures.files import figure
from bnexp.report.figures.learning_curves import draw_curves
from bnexp.report.figures.over_rates import MOST_LINES, draw_accuracy, draw_divergence
from bnexp.report.figures.panes import are_many
from bnexp.report.figures.two_factors import draw_heat_map, draw_interaction
from bnexp.report.outcome import Outcome
from bnexp.report.provenance import provenance_section
from bnexp.report.rate_table import rate_blocks, sweep
from bnexp.report.signal_section import signal_sections
from bnexp.report.time_table import time_blocks, time_unit
from bnexp.report.verdict_table import verdict_section

NO_RUN = "No run has finished."
MOST_GRIDS = 6
"""Combinations of levels of the third and further factors that are drawn."""


def make_report(outcome: Outcome, folder: Path) -> Report:
    """Compute a study's report, and draw its figures into ``folder``."""
    study = outcome.plan.study
    setting = f", setting {outcome.plan.setting}" if outcome.plan.setting else ""
    return Report(
        name=study.name + setting,
        question=study.question,
        source=", ".join(study.source),
        answer=answer(outcome),
        cautions=tuple(cautions(outcome)),
        sections=(
            verdict_section(outcome),
            arm_section(outcome),
            _curves(outcome, folder),
            _times(outcome, folder),
            _finals(outcome, folder),
            *_factorial(outcome, folder),
            *_rates(outcome, folder),
            *signal_sections(outcome, folder),
            diagnosis_section(outcome),
            cost_section(outcome),
            provenance_section(outcome),
        ),
    )


def _curves(outcome: Outcome, folder: Path) -> Section:
    arms, left_out = drawable(outcome.drawn_arms)
    if not arms:
        return Section("curves", "Learning curves", (*_lines(left_out),) or (NO_RUN,))
    caption = f"Mean over the runs, band from the lowest run to the highest. {_reading(outcome, arms)}"
    baseline, many = _baseline(outcome), are_many(arms)
    drawn = [
        figure(
            folder,
            f"curves-{metric.replace('/', '-')}",
            f"{name[0].upper()}{name[1:].partition(' (')[0]}. {caption}",
            partial(draw_curves, arms, baseline, metric, name),
            wide=many,
        )
        for metric, name in PANELS.items()
    ]
    return Section("curves", "Learning curves", (*_side_by_side(drawn), *_lines(left_out)))


def _times(outcome: Outcome, folder: Path) -> Section:
    blocks = time_blocks(outcome)
    arms = outcome.drawn_arms
    if outcome.target is None or not arms:
        return Section("times", "Time to target", blocks)
    drawn = []
    shown: str = time_unit(outcome)
    units = {shown: f"training {shown}"} | ({} if are_many(arms) else {"seconds": "seconds of training"})
    for unit, words in units.items():
        durations = {arm.label: outcome.evidence.durations(arm.label, unit) for arm in arms}
        caption = (
            f"Share of runs at the target over {words}: one less the Kaplan–Meier curve. A tick marks runs whose "
            f"budget ended before they arrived. {_reading(outcome, arms)}"
        )
        draw = partial(draw_arrivals, arms, _baseline(outcome), durations, words)
        drawn.append(figure(folder, f"target-{unit}", caption, draw, wide=are_many(arms)))
    return Section("times", "Time to target", (*blocks, *_side_by_side(drawn)))


def _finals(outcome: Outcome, folder: Path) -> Section:
    title = "Final accuracy, every seed"
    if not outcome.different_arms:
        return Section("finals", title, (NO_RUN,))
    caption = (
        "A point is a run, a cross a run that diverged; the diamond is the mean, the bar its 95 % interval where two "
        "or more runs allow one (it may reach beyond the axis). The dashed line is the baseline's mean. "
    ) + _first(outcome)
    drawn = figure(folder, "final-accuracy", caption, partial(draw_every_seed, outcome))
    return Section("finals", title, _side_by_side([drawn]))


def _factorial(outcome: Outcome, folder: Path) -> list[Section]:
    found = grids(outcome)
    if not found:
        return []
    blocks: list[Block] = []
    for number, grid in enumerate(found[:MOST_GRIDS], 1):
        blocks += _grid(grid, number, folder, alone=len(found) == 1)
    if len(found) > MOST_GRIDS:
        blocks.append(f"These are the first {MOST_GRIDS} of {len(found)} combinations; all are in results.csv.")
    names = " × ".join([*outcome.plan.study.factors][:2])
    return [Section("factors", f"Factors: {names}", (*blocks, READING))]


def _grid(grid: Grid, number: int, folder: Path, *, alone: bool) -> list[Block]:
    drawn = [
        figure(
            folder,
            f"factors-{number}-means",
            f"Mean test accuracy, {grid.title}. The colours span 0.1 or more.",
            partial(draw_heat_map, grid),
        ),
        figure(
            folder,
            f"factors-{number}-interaction",
            f"Interaction, {grid.title}. Parallel lines: the factors add up. Bars: 95 % intervals of the means, cut at "
            "the axis.",
            partial(draw_interaction, grid),
        ),
    ]
    effects = effects_table(grid)
    told: tuple[Block, ...] = (effects,) if isinstance(effects, str) else effects
    heading = [] if alone else [f"{grid.title}:"]
    return [*heading, *_side_by_side(drawn), "Mean test accuracy:", means_table(grid), *told]


def _rates(outcome: Outcome, folder: Path) -> list[Section]:
    found = sweep(outcome)
    if found is None:
        return []
    total = len(found.families)
    first = f" The first {MOST_LINES} of {total} are drawn." if total > MOST_LINES else ""
    drawn = [
        figure(
            folder,
            "rates-accuracy",
            "Test accuracy over the learning rate: mean, band from the lowest run to the highest, every run as a "
            f"point.{first}",
            partial(draw_accuracy, found),
        ),
        figure(
            folder,
            "rates-divergence",
            "Share of runs that diverged, over the learning rate; dotted, with those that answer no better than "
            f"guessing may.{first}",
            partial(draw_divergence, found),
        ),
    ]
    return [Section("rates", "Over the learning rate", (*_side_by_side(drawn), *rate_blocks(found)))]


def _reading(outcome: Outcome, arms: list[Arm]) -> str:
    """Say what stands for what, where that is not in a legend, and which arms are not drawn."""
    parts = ["The dashed grey line is the baseline."] if are_many(arms) else []
    if outcome.twins:
        parts.append("Arms that are names for the same runs are drawn once.")
    return " ".join(filter(None, [*parts, _first(outcome)]))


def _first(outcome: Outcome) -> str:
    drawn, arms = len(outcome.drawn_arms), len(outcome.different_arms)
    return f"{drawn} of {arms} arms are drawn, the first ones with the baseline." if drawn < arms else ""


def _baseline(outcome: Outcome) -> str:
    label = outcome.baseline.label
    return outcome.twins.get(label, label)


def _side_by_side(drawn: list[Figure | str]) -> tuple[Block, ...]:
    figures = tuple(item for item in drawn if isinstance(item, Figure))
    problems = [item for item in drawn if isinstance(item, str)]
    return (*([Figures(figures)] if figures else []), *problems)


def _lines(lines: list[str]) -> list[Block]:
    return [Items(tuple(f"not drawn: {line}" for line in lines))] if lines else []
