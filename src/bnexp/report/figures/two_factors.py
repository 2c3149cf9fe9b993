"""Two crossed factors: a heat map of the means, and the lines whose slopes differ where the factors interact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bnexp.analysis.metrics import metric_range
from bnexp.analysis.statistics.student import mean
from bnexp.report.factorial_table import Grid
from bnexp.report.figures.style import INK, NARROW, PAPER, legend_below, level_style, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_RANGE = 0.1
"""Of the colours: differences of a point must not look like day and night."""
DARK_TEXT, LIGHT_TEXT = "#101010", "#fdfdfd"


def draw_heat_map(grid: Grid) -> Figure:
    """Draw the mean test accuracy of each cell as a colour and a number."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    (row_factor, rows), (column_factor, columns) = grid.rows, grid.columns
    means = np.array([[_mean(grid, row, column) for column in columns] for row in rows])
    top = np.nanmax(means)
    scale = Normalize(min(np.nanmin(means), top - LEAST_RANGE), top)
    figure = Figure(figsize=(NARROW, 1.3 + 0.55 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.pcolormesh(np.ma.masked_invalid(means), cmap="cividis", norm=scale)
    axes.hlines(range(len(rows) + 1), 0, len(columns), color=PAPER, linewidth=1.5)
    axes.vlines(range(len(columns) + 1), 0, len(rows), color=PAPER, linewidth=1.5)
    for (i, j), value in np.ndenumerate(means):
        known = np.isfinite(value)
        light = known and sum(colormaps["cividis"](scale(value))[:3]) < 1.5
        text = f"{value:.3f}" if known else "–"
        colour = LIGHT_TEXT if light else DARK_TEXT if known else INK
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=colour, fontsize=min(9.5, 93 / len(columns)))
    axes.set_xticks(np.arange(len(columns)) + 0.5, [short(name, 14) for name in columns])
    axes.set_yticks(np.arange(len(rows)) + 0.5, [short(name, 20) for name in rows])
    if max(map(len, columns)) * len(columns) > 50:
        axes.tick_params(axis="x", rotation=35)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(column_factor)
    axes.set_ylabel(row_factor)
    return figure


def draw_interaction(grid: Grid) -> Figure:
    """Draw a line for each level of the factor with fewer levels, over the levels of the other."""
    from matplotlib.figure import Figure

    turned = len(grid.rows[1]) < len(grid.columns[1])
    (x_name, levels), (line_name, lines) = (grid.columns, grid.rows) if turned else (grid.rows, grid.columns)
    figure = Figure(figsize=(NARROW, 3.4 + 0.2 * -(-len(lines) // 3)), layout="constrained")
    axes = figure.add_subplot()
    shown: list[float] = []
    for index, line in enumerate(lines):
        x, middle, below, above = [], [], [], []
        for place, level in enumerate(levels):
            values = grid.cells.get((line, level) if turned else (level, line))
            if values:
                found = mean(values).within(*metric_range("test/accuracy"))
                low, high = found.interval()
                x.append(place + 0.04 * (index - (len(lines) - 1) / 2))
                middle.append(found.value)
                below.append(0.0 if found.note else max(found.value - low, 0.0))
                above.append(0.0 if found.note else max(high - found.value, 0.0))
                shown += values
        axes.errorbar(
            x,
            middle,
            [below, above],
            label=short(f"{line_name}={line}"),
            capsize=2.5,
            elinewidth=1,
            **level_style(index),
        )
    margin = max(0.06 * (max(shown) - min(shown)), 0.005)
    axes.set_ylim(min(shown) - margin, max(shown) + margin)
    axes.set_xlim(-0.4, len(levels) - 0.6)
    axes.set_xticks(range(len(levels)), [short(name, 14) for name in levels])
    if max(map(len, levels)) * len(levels) > 50:
        axes.tick_params(axis="x", rotation=35)
    axes.set_xlabel(x_name)
    axes.set_ylabel("test accuracy (fraction correct)")
    legend_below(axes, 3)
    return figure


def _mean(grid: Grid, row: str, column: str) -> float:
    values = grid.cells.get((row, column))
    return float(np.mean(values)) if values else np.nan
