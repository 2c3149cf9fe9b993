"""Final accuracy: every run as a point, with the mean and its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bnexp.report.figures.style import FAINT, INK, NARROW, PALETTE, PAPER, RULE, titles
from bnexp.report.outcome import Outcome
from bnexp.studies.evidence import measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL = 2.4  # inches


def draw_every_seed(outcome: Outcome) -> Figure:
    """Draw a row for each arm: runs below, mean and 95 % interval above; a cross is a run that diverged."""
    from matplotlib.figure import Figure

    arms = outcome.drawn_arms
    figure = Figure(figsize=(NARROW, 1.0 + 0.42 * len(arms)), layout="constrained")
    axes = figure.add_subplot()
    shown = [value for arm in arms for value in outcome.values(arm.label)]
    reference = outcome.mean(outcome.baseline.label).value
    if math.isfinite(reference):
        axes.axvline(reference, color=FAINT, linestyle="--", linewidth=1)
    for row, arm in enumerate(arms):
        _row(axes, outcome, arm.label, row)
    names = titles([arm.label for arm in arms], LABEL)
    axes.set_yticks(range(len(arms)), [f"{name}  n={len(arm.runs)}" for name, arm in zip(names, arms, strict=True)])
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.grid(axis="y", color=RULE)
    if shown:  # the interval of two runs may be wider than the whole axis
        margin = max(0.04 * (max(shown) - min(shown)), 0.004)
        axes.set_xlim(min(shown) - 2 * margin, max(shown) + 2 * margin)
    axes.set_xlabel("test accuracy (fraction correct)")
    return figure


def _row(axes: Axes, outcome: Outcome, label: str, row: int) -> None:
    measured = ((run.status, measure(run)["test/accuracy"]) for run in outcome.evidence.runs[label])
    runs = [(status, value) for status, value in measured if value is not None]
    height = row + 0.14 + 0.2 * np.linspace(-0.5, 0.5, len(runs)) if len(runs) > 1 else np.array([row + 0.14])
    for (status, value), y in zip(runs, height, strict=True):
        if status == "diverged":
            axes.plot(value, y, "x", color=PALETTE[1], markersize=6, markeredgewidth=1.6)
        else:
            axes.plot(
                value, y, "o", color=PALETTE[0], markersize=5, alpha=0.7, markeredgecolor=PAPER, markeredgewidth=0.4
            )
    found = outcome.mean(label)
    low, high = found.interval()
    if not found.note:
        axes.plot([low, high], [row - 0.2] * 2, color=INK, linewidth=1.6, solid_capstyle="butt")
    axes.plot(found.value, row - 0.2, "D", color=INK, markersize=4.5)
