"""Maps of landscapes with known numbers."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.contour import QuadContourSet

from bnexp.analysis.landscape import Landscape, Survey, as_csv
from bnexp.analysis.maps import colour_limits, draw

STEPS = np.array([-1.0, 0.0, 1.0])


def bowl(label: str = "norm=batch", scale: float = 1.0, num_classes: int = 10) -> Landscape:
    """L(x, y) = scale · (1 + x² + 2 y²)."""
    plane = scale * (1 + STEPS[None, :] ** 2 + 2 * STEPS[:, None] ** 2)
    return Landscape(label, "arm/0-s0", 300, num_classes, STEPS, plane[1], plane[:, 1], plane)


def filled(figure) -> list[QuadContourSet]:
    panes = [pane for part in figure.subfigs for pane in part.axes]
    sets = [artist for pane in panes for artist in pane.collections if isinstance(artist, QuadContourSet)]
    return [artist for artist in sets if artist.filled]


def test_all_maps_have_one_colour_scale_and_their_own_label() -> None:
    figure = draw([bowl("a"), bowl("b", 3.0), bowl("_c", 0.1)])
    assert {(artist.norm.vmin, artist.norm.vmax) for artist in filled(figure)} == {(0.1, 12.0)}
    titles = [pane.get_title() for pane in figure.subfigs[0].axes]
    assert titles[:3] == ["a", "b", "_c"]
    [legend] = figure.subfigs[1].legends
    assert [text.get_text() for text in legend.get_texts()] == [" a", " b", " _c"]


def test_maps_are_drawn_in_even_rows() -> None:
    figure = draw([bowl(str(number)) for number in range(6)])
    assert len(filled(figure)) == 6
    assert {pane.get_subplotspec().get_gridspec().get_geometry() for pane in figure.subfigs[0].axes[:6]} == {(2, 3)}


@pytest.mark.parametrize("count", [1, 9, 30])
def test_no_two_runs_have_the_same_line(count: int) -> None:
    figure = draw([replace(bowl(str(number), 1 + number / 10), plane=None) for number in range(count)])
    solid = [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    assert len({(line.get_color(), line.get_marker()) for line in solid}) == count


def test_no_map_is_a_picture_inside_the_drawing() -> None:
    svg = io.StringIO()
    draw([bowl("a"), bowl("b", 3.0)]).savefig(svg, format="svg")
    assert "<image" not in svg.getvalue()


def test_maps_of_losses_that_hardly_differ_have_numbers_at_their_colours_and_axis() -> None:
    flat = bowl("flat")
    assert flat.plane is not None
    figure = draw(
        [replace(flat, plane=2.3 + 1e-4 * flat.plane, first=flat.first * 0 + 2.3, second=flat.second * 0 + 2.3)]
    )
    bar, lines = figure.subfigs[0].axes[-1], figure.subfigs[1].axes[0]
    for axes in (bar, lines):
        low, high = axes.get_ylim()
        numbers = [tick for tick in axes.get_yticks() if low <= tick <= high]
        assert len(numbers) >= 2
        assert len({label.get_text() for label in axes.get_yticklabels()}) == len(axes.get_yticks())


def test_lines_alone_need_no_map() -> None:
    line = Landscape("a", "arm/0-s0", 3, 2, STEPS, STEPS**2 + 1, STEPS**2 + 2, None)
    figure = draw([line])
    assert not figure.subfigs
    first, second, chance = figure.axes[0].get_lines()
    assert first.get_ydata().tolist() == [2, 1, 2]
    assert second.get_ydata().tolist() == [3, 2, 3]
    assert set(chance.get_ydata()) == {math.log(2)}


def test_what_is_not_finite_is_drawn_at_the_ceiling_and_does_not_set_it() -> None:
    landscape = bowl()
    assert landscape.plane is not None
    landscape.plane[[0, 2], [0, 2]] = math.inf
    landscape.plane[[0, 2], [2, 0]] = math.nan  # so that all corners, the highest points, are gone
    low, high = colour_limits([landscape])
    assert (low, high) == (1.0, 3.0)
    [artist] = filled(draw([landscape]))
    assert artist.norm.vmax == 3.0


def test_a_loss_of_any_height_leaves_colours_for_the_others() -> None:
    assert colour_limits([bowl(), bowl(scale=1e9)]) == (1.0, pytest.approx(30 * math.log(10)))


def test_a_flat_landscape_can_be_drawn() -> None:
    flat = Landscape("flat", "arm/0-s0", 3, 10, STEPS, *(np.full(3, 2.3),) * 2, np.full((3, 3), 2.3))
    assert len(filled(draw([flat]))) == 1


def test_the_table_has_each_point_once_with_all_digits() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv([bowl(scale=1 / 3)]))))
    assert len(rows) == 9
    for row in rows:
        x, y = float(row["first"]), float(row["second"])
        assert float(row["loss"]) == 1 / 3 * (1 + x**2 + 2 * y**2)
        assert row["run"] == "arm/0-s0"


def test_steps_are_symmetric_and_their_middle_is_zero() -> None:
    steps = Survey(num_steps=25, reach=0.3, num_examples=1, seed=0, only_lines=False).steps
    assert steps[12] == 0
    assert steps == [-step for step in reversed(steps)]
    assert np.allclose(steps, np.linspace(-0.3, 0.3, 25))
    assert Survey(num_steps=1, reach=0.3, num_examples=1, seed=0, only_lines=True).steps == [0]


@pytest.mark.parametrize("length", [20, 34, 45, 49, 60, 400])
@pytest.mark.parametrize("has_maps", [True, False])
def test_the_legend_lies_within_the_figure(length: int, has_maps: bool) -> None:
    found = [bowl(f"{number} {'m' * (length - 2)}") for number in range(3 if has_maps else 5)]
    figure = draw(found if has_maps else [replace(one, plane=None) for one in found])
    figure.set_dpi(160)  # as files of it have
    figure.draw(renderer := FigureCanvasAgg(figure).get_renderer())
    [legend] = figure.subfigs[1].legends if has_maps else figure.legends
    boxes = [part.get_window_extent(renderer) for part in [legend, *legend.get_texts()]]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= figure.bbox.y0 for box in boxes)
