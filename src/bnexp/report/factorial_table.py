"""What each of the first two factors does, and whether one's effect depends on the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from bnexp.analysis.arms import coarsest
from bnexp.analysis.metrics import difference_range
from bnexp.analysis.statistics.factorial import Effect, largest_interaction, two_way_anova
from bnexp.report.document import Column, Table
from bnexp.report.numbers import accuracy, between, general, p_value, points
from bnexp.report.outcome import Outcome

EFFECTS = (
    Column("effect", "text"),
    Column("sum of squares"),
    Column("df"),
    Column("F"),
    Column("p"),
    Column("η²"),
    Column("partial η²"),
)
READING = (
    "η² is an effect's share of the whole variation between runs, partial η² its share of what the other effects "
    "leave. The ANOVA (type II) takes the spread to be the same in all cells, which it seldom is when some cells do "
    "not train: then its p-values are a rough guide. The interaction's interval lets each cell have its own spread."
)


@dataclass(frozen=True)
class Grid:
    """Test accuracies of the cells of two factors, at one combination of levels of the others.

    Attributes:
        rows, columns: name and levels of each of the two factors; rows are the first one.
        where: the levels of the other factors.
        cells: the runs' values by levels; a cell that was left out, has no run, or one without a score, is missing.
        resolution: the smallest step in which a value can differ.
        is_one_data_set: whether all cells were judged on the same examples.
    """

    rows: tuple[str, tuple[str, ...]]
    columns: tuple[str, tuple[str, ...]]
    where: Mapping[str, str]
    cells: Mapping[tuple[str, str], Sequence[float]]
    resolution: float
    is_one_data_set: bool = True

    @property
    def title(self) -> str:
        """What it shows, ``init × norm``, with the levels of the other factors."""
        at = ", ".join(f"{factor}={level}" for factor, level in self.where.items())
        return f"{self.rows[0]} × {self.columns[0]}" + (f" at {at}" if at else "")


def grids(outcome: Outcome) -> list[Grid]:
    """Return the grids of the first two factors, one for each combination of levels of the others."""
    factors = [*outcome.plan.study.factors.items()]
    if len(factors) < 2:
        return []
    rows, columns, *others = factors
    found = []
    for levels in product(*(names for _, names in others)):
        where = dict(zip((name for name, _ in others), levels, strict=True))
        arms = outcome.evidence.select(where)
        cells = {
            (arm.settings[rows[0]], arm.settings[columns[0]]): values
            for arm in arms
            if (values := outcome.values(arm.label)) and outcome.evidence.is_complete(arm.label, "test/accuracy")
        }
        if cells:
            same = outcome.evidence.is_same_data(*(arm.label for arm in arms))
            found.append(Grid(rows, columns, where, cells, coarsest(arms, "test/accuracy"), same))
    return found


def means_table(grid: Grid) -> Table:
    """Return the mean test accuracy of each cell."""
    columns = (Column(f"{grid.rows[0]} \\ {grid.columns[0]}", "text"), *map(Column, grid.columns[1]))
    rows = tuple(
        (row, *(accuracy(float(np.mean(grid.cells.get((row, column), math.nan)))) for column in grid.columns[1]))
        for row in grid.rows[1]
    )
    return Table(columns, rows)


def effects_table(grid: Grid) -> tuple[Table, str] | str:
    """Return the ANOVA with the largest interaction in a sentence; or why there is none."""
    if not grid.is_one_data_set:
        return "No ANOVA: the cells are of different data."
    try:
        effects = two_way_anova(grid.cells, (grid.rows[0], grid.columns[0]))
        largest = largest_interaction(grid.cells, grid.resolution)
        largest = replace(largest, estimate=largest.estimate.within(*difference_range("test/accuracy", arms=4)))
    except ValueError as error:
        return f"No ANOVA: {error}."
    low, high = largest.interval
    rows, columns = largest.rows, largest.columns
    what = f"{grid.columns[0]} from {columns[0]} to {columns[1]}"
    sentence = (
        f"Largest interaction contrast: what changing {what} does at {grid.rows[0]}={rows[1]}, less what it does at "
        f"{grid.rows[0]}={rows[0]}, is {points(largest.estimate.value)} (95 % interval "
        f"{between(points(low), points(high))}, widened for the {largest.searched} that were searched)."
        if not largest.estimate.note
        else f"No interval of an interaction: {largest.estimate.note}."
    )
    return Table(EFFECTS, tuple(map(_row, effects))), sentence


def _row(effect: Effect) -> tuple[str, ...]:
    return (
        effect.name,
        general(effect.sum_of_squares),
        str(effect.df),
        general(effect.f),
        p_value(effect.p_value),
        general(effect.eta_squared),
        general(effect.partial_eta_squared),
    )
