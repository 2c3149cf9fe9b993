"""Legends of the report's drawings."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bnexp.report.figures.style import NARROW, drawing, legend_below, short


@pytest.mark.parametrize("label", ["norm=batch", "m" * 20, "m" * 34, "_norm=$x_{", "norm=batch optimizer.lr=0.01 " * 9])
def test_a_legend_lies_within_its_figure(label: str) -> None:
    with drawing():
        figure = Figure(figsize=(NARROW, 4), layout="constrained", dpi=160)
        axes = figure.add_subplot()
        for number in range(4):
            axes.plot([0, 1], [0, number], label=short(f"{label} {number}"))
        legend = legend_below(axes)
        figure.draw(renderer := FigureCanvasAgg(figure).get_renderer())
        boxes = [part.get_window_extent(renderer) for part in [legend, *legend.get_texts()]]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)
    assert len({text.get_text() for text in legend.get_texts()}) == 4
