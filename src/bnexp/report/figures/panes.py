"""One line for each arm: together in one pane while they can be told apart, else a pane for each arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bnexp.analysis.arms import Arm
from bnexp.analysis.grid import balanced
from bnexp.report.figures.style import FAINT, NARROW, PALETTE, WIDE, arm_styles, legend_below, short, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = len(PALETTE)
COLUMNS = (4, 5, 3)
LEFT, RIGHT, TOP, BOTTOM, PANE = 0.75, 0.1, 0.4, 0.55, 1.65  # inches

DrawLine = Callable[["Axes", Arm, dict[str, Any]], None]
"""Draws an arm's line and what belongs to it, in a style that matplotlib takes."""


def are_many(arms: Sequence[Arm]) -> bool:
    """Whether the arms need a pane each."""
    return len(arms) > MOST_LINES


def draw_panes(
    arms: Sequence[Arm], baseline: str, labels: tuple[str, str], line: DrawLine, plain_line: DrawLine
) -> Figure:
    """Draw all arms.

    Args:
        arms: each set of runs once.
        baseline: label of the arm that every pane of many repeats, dashed.
        labels: words on the x and the y axis.
        line: draws an arm with its band and marks.
        plain_line: draws the baseline behind another arm.
    """
    return _one_each(arms, baseline, labels, line, plain_line) if are_many(arms) else _together(arms, labels, line)


def _together(arms: Sequence[Arm], labels: tuple[str, str], line: DrawLine) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(NARROW, 3.4 + 0.2 * -(-len(arms) // 2)), layout="constrained")
    axes = figure.add_subplot()
    for arm, style in zip(arms, arm_styles(arms), strict=True):
        line(axes, arm, style | {"label": short(arm.label)})
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    legend_below(axes)
    return figure


def _one_each(
    arms: Sequence[Arm], baseline: str, labels: tuple[str, str], line: DrawLine, plain_line: DrawLine
) -> Figure:
    from matplotlib.figure import Figure

    rows, columns = balanced(len(arms), COLUMNS)
    height = TOP + rows * PANE + BOTTOM
    figure = Figure(figsize=(WIDE, height))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    # By hand: matplotlib's own layout takes a second for every ten panes.
    figure.subplots_adjust(LEFT / WIDE, BOTTOM / height, 1 - RIGHT / WIDE, 1 - TOP / height, 0.08, 0.42)
    reference = next((arm for arm in arms if arm.label == baseline), None)
    named = titles([arm.label for arm in arms], 0.92 * (WIDE - LEFT - RIGHT) / columns)
    for axes, arm, style, title in zip(grid.flat, arms, arm_styles(arms), named, strict=False):
        if reference is not None and arm is not reference:
            plain_line(axes, reference, {"color": FAINT, "linestyle": "--", "linewidth": 1.2})
        line(axes, arm, style)
        axes.set_title(title, fontsize=8.5, loc="left")
    for axes in grid.flat[len(arms) :]:
        axes.remove()
    for axes in grid.flat[max(0, len(arms) - columns) : len(arms)]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
    figure.supxlabel(labels[0], fontsize=9.5, y=0.12 / height, va="bottom")
    figure.supylabel(labels[1], fontsize=9.5, x=0.1 / WIDE, ha="left")
    return figure
