"""Learning curves: the mean over an arm's runs, and a band from the lowest run to the highest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bnexp.analysis.arms import Arm
from bnexp.analysis.curves import curve
from bnexp.analysis.scales import set_log_scale
from bnexp.report.figures.panes import draw_panes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_curves(arms: Sequence[Arm], baseline: str, metric: str, name: str) -> Figure:
    """Draw a metric of the evaluations over epochs; a loss on a logarithmic axis."""
    import numpy as np

    def mean(axes: Axes, arm: Arm, style: dict[str, Any]) -> None:
        found = curve(arm.runs, metric)
        alone = np.isfinite(found.mean).sum() == 1  # a point that a line would not show
        axes.plot(found.epochs, found.mean, marker="o" if alone else "", **style)

    def mean_and_band(axes: Axes, arm: Arm, style: dict[str, Any]) -> None:
        mean(axes, arm, style)
        if len(arm.runs) > 1:
            found = curve(arm.runs, metric)
            axes.fill_between(found.epochs, found.low, found.high, color=style["color"], alpha=0.15, linewidth=0)

    figure = draw_panes(arms, baseline, ("epoch", name), mean_and_band, mean)
    for axes in figure.axes:
        if "loss" in metric and np.isfinite(axes.dataLim.minposy):  # some loss is finite and above 0
            set_log_scale(axes)
    return figure
