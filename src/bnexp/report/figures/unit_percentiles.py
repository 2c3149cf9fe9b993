"""What one unit receives over the training: its 15th, 50th and 85th percentile, a pane for each arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnexp.analysis.grid import balanced
from bnexp.report.figures.style import PALETTE, WIDE, titles

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

COLUMNS = (3, 4)
MOST_TIMES = 20
"""How many times the median spread a unit's may be on the axis that all share."""

OWN_SCALE = "own scale"


class Percentiles(NamedTuple):
    """Percentiles of one unit's input in one run, (num_evaluations,) each."""

    epochs: NDArray[np.float64]
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]


def draw_unit_percentiles(units: Mapping[str, Percentiles]) -> Figure:
    """Draw the unit of each arm: a line for the median, a band from the 15th percentile to the 85th."""
    from matplotlib.figure import Figure

    rows, columns = balanced(len(units), COLUMNS)
    figure = Figure(figsize=(WIDE, 0.4 + 2.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    named = titles(list(units), (WIDE - 0.5) / columns - 0.5)
    limits = _limits([*units.values()])
    for axes, title, found, (low, high, own) in zip(grid.flat, named, units.values(), limits, strict=False):
        alone = "o" if len(found.epochs) == 1 else ""
        axes.plot(found.epochs, found.middle, color=PALETTE[0], marker=alone)
        axes.fill_between(found.epochs, found.low, found.high, color=PALETTE[0], alpha=0.2, linewidth=0)
        axes.set_ylim(low, high)
        axes.set_title(title, fontsize=8.5, loc="left")
        if own:
            axes.set_title(OWN_SCALE, fontsize=8.5, loc="right", color=PALETTE[1])
        axes.set_xlabel("epoch")
    for axes in grid.flat[len(units) :]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel("input of the unit")
    return figure


def _limits(units: Sequence[Percentiles]) -> list[tuple[float, float, bool]]:
    """Return for each unit the ends of its axis, and whether that is its own.

    All share one axis, so that panes can be compared. A unit whose percentiles spread far wider than the median unit's
    would flatten all others, and has an axis of its own.
    """
    spans = [_span(unit) for unit in units]
    sizes = np.array([high - low for low, high in spans])
    is_own = sizes > MOST_TIMES * np.median(sizes[sizes > 0]) if (sizes > 0).any() else sizes > 0
    shared = [span for span, own in zip(spans, is_own, strict=True) if not own]
    low, high = min(low for low, _ in shared), max(high for _, high in shared)
    return [
        (*_with_margin(*(span if own else (low, high))), bool(own)) for span, own in zip(spans, is_own, strict=True)
    ]


def _span(unit: Percentiles) -> tuple[float, float]:
    values = np.concatenate([unit.low, unit.middle, unit.high])
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def _with_margin(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or max(0.05 * abs(high), 0.05)
    return low - margin, high + margin
