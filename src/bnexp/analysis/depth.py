"""Signals over depth: what goes forward and what comes back, a line for each network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnexp.analysis.arms import Arm
from bnexp.analysis.curves import WIDTH, styles
from bnexp.analysis.legend import add_legend, arranged, telling
from bnexp.analysis.scales import set_log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bnexp.signals.inspection import Inspection

PANELS = {
    "preactivation_std": "forward: standard deviation of the pre-activations",
    "preactivation_gradient_norm": "backward: length of the gradient of the pre-activations",
}
"""What is drawn: a value of each layer, and the words on its axis."""

FEW_LAYERS = 12
"""Layers up to which each has a mark and a number on the axis."""


def draw_depth(arms: Sequence[Arm], inspections: Sequence[Inspection]) -> Figure:
    """Draw forward and backward signals over the number of the layer, both on logarithmic scales.

    A layer whose signal is zero or no finite number has no point. The scale spans at least two decades, so that the
    eye takes no noise for a trend.
    """
    from matplotlib.figure import Figure

    names = arranged(telling([arm.label for arm in arms]), WIDTH)
    figure = Figure(figsize=(WIDTH, 3.4 + names.height), layout="constrained")
    panes = figure.subplots(1, len(PANELS))
    depth = max(len(inspection.layers) for inspection in inspections)
    for pane, (value, words) in zip(panes, PANELS.items(), strict=True):
        for inspection, (colour, dash) in zip(inspections, styles(arms), strict=True):
            _draw_line(pane, inspection, value, colour, dash)
        pane.set_title(words, fontsize=10)
        pane.set_xlabel("layer, in the order of computation")
        pane.grid(alpha=0.3)
        _set_scales(pane, depth)
    add_legend(figure, panes[0].get_lines(), names)
    return figure


def _draw_line(pane: Axes, inspection: Inspection, value: str, colour: str, dash: object) -> None:
    import numpy as np

    heights = np.array([getattr(layer, value) for layer in inspection.layers], float)
    heights[~(np.isfinite(heights) & (heights > 0))] = np.nan
    numbers = np.arange(1, len(heights) + 1)
    marker = "o" if len(heights) <= FEW_LAYERS else ""
    pane.plot(numbers, heights, color=colour, linestyle=dash, linewidth=1.8, marker=marker, markersize=4)


def _set_scales(pane: Axes, depth: int) -> None:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    heights = np.concatenate([np.asarray(line.get_ydata(), float) for line in pane.get_lines()])
    heights = heights[np.isfinite(heights)]
    if len(heights):
        low, high = np.log10(heights.min()), np.log10(heights.max())
        middle, half = (low + high) / 2, max((high - low) / 2 * 1.08, 1.0)
        pane.set_ylim(10 ** (middle - half), 10 ** (middle + half))
        set_log_scale(pane)
    pane.set_xlim(1 - min(0.03 * depth, 0.9), depth * 1.03)  # there is no layer 0
    if depth <= FEW_LAYERS:
        pane.set_xticks(range(1, depth + 1))
    else:
        pane.xaxis.set_major_locator(MaxNLocator(integer=True))
