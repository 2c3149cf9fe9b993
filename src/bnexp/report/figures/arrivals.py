"""Time to target: the share of an arm's runs that have arrived, which is one less the Kaplan–Meier curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bnexp.analysis.arms import Arm
from bnexp.analysis.statistics.survival import kaplan_meier
from bnexp.analysis.statistics.target import Durations
from bnexp.report.figures.panes import draw_panes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_arrivals(arms: Sequence[Arm], baseline: str, durations: Mapping[str, Durations], unit: str) -> Figure:
    """Draw the share of runs that have reached the target over time; a tick where a run's budget ended without it."""
    times = np.concatenate([found.times[np.isfinite(found.times)] for found in durations.values()])
    end = float(times.max()) if len(times) else 1.0

    def steps(axes: Axes, arm: Arm, style: dict[str, Any]) -> None:
        found = kaplan_meier(durations[arm.label])
        own = durations[arm.label].times
        last = float(own[np.isfinite(own)].max()) if np.isfinite(own).all() else end
        x, y = np.append(found.times, last), np.append(1 - found.unreached, _last(1 - found.unreached))
        axes.step(np.append(0.0, x), np.append(0.0, y), where="post", **style)

    def steps_and_ends(axes: Axes, arm: Arm, style: dict[str, Any]) -> None:
        steps(axes, arm, style)
        own, found = durations[arm.label], kaplan_meier(durations[arm.label])
        ends = np.unique(own.times[~own.reached & np.isfinite(own.times)])
        shares = np.append(0.0, 1 - found.unreached)[np.searchsorted(found.times, ends, side="right")]
        axes.plot(ends, shares, "|", color=style["color"], markersize=9, markeredgewidth=1.5)

    figure = draw_panes(arms, baseline, (unit, "share of runs at the target"), steps_and_ends, steps)
    for axes in figure.axes:
        axes.set_ylim(-0.04, 1.04)
        axes.set_xlim(left=0)
    return figure


def _last(shares: np.ndarray[Any, Any]) -> float:
    return float(shares[-1]) if len(shares) else 0.0
