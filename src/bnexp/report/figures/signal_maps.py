"""Heat maps of one signal: depth over time, a pane for each arm, on one scale of colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bnexp.analysis.grid import balanced
from bnexp.analysis.scales import colour_bar
from bnexp.analysis.signals import DepthAndTime
from bnexp.report.figures.style import WIDE, short, titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (3, 4)
LAYER = 0.16  # inches
NAMES = 0.9  # inches: of the layers, to the left of a pane
MOST_NAMES = 14
"""Layers up to which each has its name at the axis; of more layers only some have."""


def draw_signal_maps(maps: Mapping[str, DepthAndTime], *, logarithmic: bool) -> Figure:
    """Draw the maps by arm; the first layer lies at the bottom, and grey is where no run has a finite value."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows, columns = balanced(len(maps), COLUMNS)
    most_layers = max(len(found.layers) for found in maps.values())
    pane = 0.9 + LAYER * min(max(most_layers, 4), 16)
    figure = Figure(figsize=(WIDE, 0.5 + rows * pane), layout=ConstrainedLayoutEngine(w_pad=0.1))
    grid = figure.subplots(rows, columns, squeeze=False)
    colours = colormaps["cividis"].with_extremes(bad="#bbbbbb")
    scale = _scale(maps, logarithmic)
    named = titles(list(maps), (WIDE - 0.8) / columns - NAMES)
    for axes, title, found in zip(grid.flat, named, maps.values(), strict=False):
        values = np.where(found.mean > 0, found.mean, np.nan) if logarithmic else found.mean
        drawn = axes.pcolormesh(
            _edges(found.epochs), np.arange(len(found.layers) + 1), values, cmap=colours, norm=scale
        )
        axes.set_title(title, fontsize=8.5, loc="left")
        axes.set_xlabel("epoch")
        axes.grid(visible=False)
        _name_layers(axes, found.layers)
    for axes in grid.flat[len(maps) :]:
        axes.remove()
    bar = colour_bar(figure, drawn, grid.flat[: len(maps)].tolist(), pad=0.01)
    bar.outline.set_visible(False)
    return figure


def _scale(maps: Mapping[str, DepthAndTime], logarithmic: bool) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    values = np.concatenate([found.mean[np.isfinite(found.mean)] for found in maps.values()])
    if logarithmic:
        values = values[values > 0]
    if not len(values):
        return Normalize(0, 1)
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = (low / 2, high * 2) if logarithmic else (low - 0.5, high + 0.5)
    return LogNorm(low, high) if logarithmic else Normalize(low, high)


def _edges(epochs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the ends of the stretches of time that the evaluations stand for: each ends with its evaluation."""
    first = epochs[0] - (epochs[1] - epochs[0] if len(epochs) > 1 else epochs[0] or 1.0)
    return np.concatenate([[first], epochs])


def _name_layers(axes: Axes, layers: tuple[str, ...]) -> None:
    every = -(-len(layers) // MOST_NAMES)
    shown = range(0, len(layers), every)
    axes.set_yticks(
        [index + 0.5 for index in shown],
        [short(layers[index].removesuffix(".layer"), 18) for index in shown],
        fontsize=7.5,
    )
    axes.tick_params(axis="y", length=0)
