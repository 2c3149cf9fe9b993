"""What one unit receives over the training: its 15th, 50th and 85th percentile, a pane for each arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnexp.report.figures.style import PALETTE, WIDE, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

COLUMNS = 3


class Percentiles(NamedTuple):
    """Percentiles of one unit's input in one run, (num_evaluations,) each."""

    epochs: NDArray[np.float64]
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]


def draw_unit_percentiles(units: Mapping[str, Percentiles]) -> Figure:
    """Draw the unit of each arm: a line for the median, a band from the 15th percentile to the 85th."""
    from matplotlib.figure import Figure

    rows, columns = -(-len(units) // COLUMNS), min(len(units), COLUMNS)
    figure = Figure(figsize=(WIDE, 0.4 + 2.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (label, found) in zip(grid.flat, units.items(), strict=False):
        alone = "o" if len(found.epochs) == 1 else ""
        axes.plot(found.epochs, found.middle, color=PALETTE[0], marker=alone)
        axes.fill_between(found.epochs, found.low, found.high, color=PALETTE[0], alpha=0.2, linewidth=0)
        axes.set_title(short(label, 40), loc="left")
        axes.set_xlabel("epoch")
    for axes in grid.flat[len(units) :]:
        axes.remove()
    grid[0, 0].set_ylabel("input of the unit")
    return figure
