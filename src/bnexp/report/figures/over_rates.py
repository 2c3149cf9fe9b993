"""Over the learning rate: how accurate each family of arms is, and how often it diverges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bnexp.analysis.scales import set_log_scale
from bnexp.report.figures.style import FAINT, NARROW, legend_below, level_style, short
from bnexp.report.rate_table import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MARGIN = 0.05
ALONE = 4.0
"""How far the axis goes to both sides of the only rate."""

MOST_UPRIGHT, MOST_NUMBERS = 8, 16
MOST_LINES = 14
"""Families that are drawn: of more one could not be told from another."""


def draw_accuracy(found: Sweep) -> Figure:
    """Draw the mean test accuracy over the rate, a band from the lowest run to the highest, every run as a point."""
    figure, axes = _axes(found)
    for index, family in enumerate(found.families[:MOST_LINES]):
        style = level_style(index)
        tests = {rate: [t.test for t in found.trials if (t.arm, t.lr) == (family, rate)] for rate in found.rates}
        # A rate at which a run has no score has no mean: that of the others would be the mean of the better runs.
        known = [(rate, values) for rate, values in tests.items() if values and np.isfinite(values).all()]
        rates = [rate for rate, _ in known]
        axes.plot(rates, [np.mean(values) for _, values in known], label=short(family), **style)
        low, high = [min(values) for _, values in known], [max(values) for _, values in known]
        axes.fill_between(rates, low, high, color=style["color"], alpha=0.13, linewidth=0)
        for rate, values in tests.items():
            axes.plot([rate] * len(values), values, "o", color=style["color"], markersize=3, alpha=0.6)
    axes.set_ylabel("test accuracy (fraction correct)")
    legend_below(axes)
    return figure


def draw_divergence(found: Sweep) -> Figure:
    """Draw the share of runs that diverged, or answer no better than guessing may, over the rate."""
    figure, axes = _axes(found)
    for index, family in enumerate(found.families[:MOST_LINES]):
        trials = [trial for trial in found.trials if trial.arm == family]
        rates = sorted({trial.lr for trial in trials})
        diverged = [np.mean([trial.diverged for trial in trials if trial.lr == rate]) for rate in rates]
        stuck = [np.mean([trial.diverged or trial.guesses for trial in trials if trial.lr == rate]) for rate in rates]
        style = level_style(index)
        axes.plot(rates, diverged, label=short(family), **style)
        axes.plot(rates, stuck, color=style["color"], linestyle=":", linewidth=1.2)
    axes.plot([], [], color=FAINT, linestyle=":", linewidth=1.2, label="diverged, or no better than guessing")
    axes.set_ylabel("share of runs that diverged")
    axes.set_ylim(-0.04, 1.04)
    legend_below(axes)
    return figure


def _axes(found: Sweep) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(NARROW, 3.4 + 0.2 * -(-min(len(found.families), MOST_LINES) // 2)), layout="constrained")
    axes = figure.add_subplot()
    low, high = found.rates[0], found.rates[-1]
    wider = max((high / low) ** MARGIN, ALONE if low == high else 1.0)
    axes.set_xlim(low / wider, high * wider)
    set_log_scale(axes, "x")
    if len(shown := _apart(found.rates, axes.get_xlim())) > 1:
        axes.set_xticks(shown, [f"{rate:g}" for rate in shown])
    if len(shown) > MOST_UPRIGHT:
        axes.tick_params(axis="x", rotation=45)
    axes.set_xlabel("learning rate (logarithmic)")
    return figure, axes


def _apart(rates: Sequence[float], limits: tuple[float, float]) -> list[float]:
    """Return the rates whose numbers have room beside each other on a logarithmic axis, with both ends."""
    least = (limits[1] / limits[0]) ** (1 / MOST_NUMBERS)
    shown = [rates[-1]]
    for rate in reversed(rates[:-1]):
        if shown[-1] / rate >= least and (rate == rates[0] or rate / rates[0] >= least):
            shown.append(rate)
    return shown[::-1]
