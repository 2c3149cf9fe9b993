"""Pictures of landscapes: maps of several runs on one colour scale, and the loss along two lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from bnexp.analysis.curves import COLOURS
from bnexp.analysis.grid import balanced
from bnexp.analysis.landscape import Landscape, Numbers
from bnexp.analysis.legend import Names, add_legend, arranged, telling
from bnexp.analysis.scales import colour_bar, log_ticks, set_log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

MAPS_ACROSS = (4, 3)
MAP_SIZE = 2.6  # inches
LOWEST = 1e-4
"""Losses below this, in nats, have one colour: on a log scale they would take it up for differences nobody wants."""

HIGHEST = 30.0
"""Losses beyond this multiple of ln(classes) have one colour: filters twice as large can give any loss."""

MOST_CONTOURS = 12
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X")
"""Of the lines of the first runs, of as many more as there are colours, and so on."""


def draw(landscapes: Sequence[Landscape]) -> Figure:
    """Draw a map for each landscape that has a plane, all on one logarithmic colour scale, and all lines below."""
    from matplotlib.figure import Figure

    maps = [landscape for landscape in landscapes if landscape.plane is not None]
    rows, across = balanced(len(maps), MAPS_ACROSS) if maps else (0, 1)
    width = max(6.4, across * MAP_SIZE + 1.2)
    names = arranged(telling([landscape.label for landscape in landscapes]), width)
    height = rows * (MAP_SIZE + 0.2) + 3.2 + names.height
    figure = Figure(figsize=(width, height), layout="constrained")
    below: FigureBase = figure
    if maps:
        heights = [rows * (MAP_SIZE + 0.2), 3.2 + names.height]
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights).ravel()
        _draw_maps(above, maps, rows, across)
    _draw_lines(below, landscapes, names)
    return figure


def colour_limits(landscapes: Sequence[Landscape]) -> tuple[float, float]:
    """Return the losses at the two ends of the one colour scale of all maps."""
    found = np.concatenate([landscape.all_losses for landscape in landscapes])
    finite = found[np.isfinite(found)]
    ceiling = HIGHEST * max(math.log(landscape.num_classes) for landscape in landscapes)
    low = max(LOWEST, float(finite.min(initial=ceiling)))
    high = min(ceiling, float(finite.max(initial=LOWEST)))
    return (low, high) if low < high else (low / 2, low * 2)


def _draw_maps(figure: FigureBase, maps: Sequence[Landscape], rows: int, across: int) -> None:
    from matplotlib.colors import LogNorm

    low, high = colour_limits(maps)
    panes = figure.subplots(rows, across, squeeze=False).ravel()
    for pane in panes[len(maps) :]:
        pane.set_axis_off()
    for index, (pane, landscape) in enumerate(zip(panes, maps, strict=False)):
        assert landscape.plane is not None
        shown = np.clip(np.nan_to_num(landscape.plane, nan=high, posinf=high), low, high)
        levels = np.geomspace(low, high, 60)
        filled = pane.contourf(
            landscape.steps, landscape.steps, shown, levels, norm=LogNorm(low, high), cmap="viridis", antialiased=False
        )
        _draw_contours(pane, landscape, shown, low, high)
        pane.plot(0, 0, "+", color="white", markersize=8)
        pane.set_aspect("equal")
        pane.set_title(_wrapped(landscape.label), fontsize=9, parse_math=False)
        pane.tick_params(labelsize=8, labelleft=index % across == 0)
        if index % across == 0:
            pane.set_ylabel("second direction", fontsize=9)
        if index + across >= len(maps):
            pane.set_xlabel("first direction", fontsize=9)
    colour_bar(figure, filled, panes.tolist(), label="loss (nats)")
    figure.suptitle("loss around the weights (+); dashed: ln(classes), the loss of chance", fontsize=10)


def _draw_contours(pane: Axes, landscape: Landscape, shown: Numbers, low: float, high: float) -> None:
    """Thin lines at round losses, a dashed one at that of chance."""
    levels = [tick for tick in log_ticks(low, high, MOST_CONTOURS) if low < tick < high]
    pane.contour(landscape.steps, landscape.steps, shown, levels, colors="black", linewidths=0.4, alpha=0.6)
    chance = math.log(landscape.num_classes)
    if shown.min() < chance < shown.max():
        pane.contour(
            landscape.steps, landscape.steps, shown, [chance], colors="white", linewidths=1.2, linestyles="dashed"
        )


def _draw_lines(figure: FigureBase, landscapes: Sequence[Landscape], names: Names) -> None:
    pane: Axes = figure.subplots()
    lines = []
    for index, landscape in enumerate(landscapes):
        # Dashes are taken: they tell the directions apart.
        style: dict[str, Any] = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index // len(COLOURS) % len(MARKERS)],
        }
        style |= {"markevery": max(len(landscape.steps) // 8, 1), "markersize": 5}
        lines += pane.plot(landscape.steps, _drawable(landscape.first), linewidth=1.8, **style)
        pane.plot(landscape.steps, _drawable(landscape.second), linewidth=1.2, linestyle="--", **style)
    for num_classes in sorted({landscape.num_classes for landscape in landscapes}):
        pane.axhline(math.log(num_classes), color="grey", linewidth=0.8, linestyle=":")
    low, high = colour_limits(landscapes)
    pane.set_ylim(low / 1.5, high * 1.5)
    set_log_scale(pane)
    pane.set_xlabel("step along the direction (1: as large as the weights)")
    pane.set_ylabel("loss (nats)")
    pane.grid(alpha=0.3)
    pane.set_title("along the first direction (solid) and the second (dashed); dotted: ln(classes)", fontsize=10)
    add_legend(figure, lines, names)


def _drawable(losses: Numbers) -> Numbers:
    """Leave out what is not finite, and what a logarithm has no value for."""
    return np.where(np.isfinite(losses) & (losses > 0), losses, np.nan)


def _wrapped(label: str) -> str:
    """Break a label at its words into lines that a map has room for."""
    return fill(label, 34, break_long_words=True)
