"""Every figure of a report, of any number of arms: axes with numbers, panes in even rows, data in its own colours."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from tests.report.conftest import outcome_of, runs
from tests.report.pictures import factorial_study, study_of_arms

from bnexp.analysis.arms import Arm
from bnexp.analysis.grid import balanced
from bnexp.report.document import Figure as Drawn
from bnexp.report.figures import files
from bnexp.report.figures.every_seed import draw_every_seed
from bnexp.report.figures.learning_curves import draw_curves
from bnexp.report.figures.panes import COLUMNS
from bnexp.report.figures.style import INK, PALETTE, PAPER, RULE, arm_styles, level_style, titles
from bnexp.report.figures.unit_percentiles import OWN_SCALE, Percentiles, draw_unit_percentiles
from bnexp.report.outcome import MOST_DRAWN, Outcome
from bnexp.report.write import write_report

STUDIES: dict[str, Callable[[Path], Outcome]] = {
    "two factors": factorial_study,
    "nine arms": lambda folder: study_of_arms(folder, 9),
    "one arm whose loss stays": lambda folder: study_of_arms(folder, 1, losses=(2.3, 2.3)),
    "losses that hardly move": lambda folder: study_of_arms(folder, 2, losses=(2.3026, 2.3025)),
    "losses over many decades": lambda folder: study_of_arms(folder, 2, losses=(1e8, 1e-9)),
}


@pytest.fixture(scope="module", params=STUDIES)
def figures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Figure]]:
    """The folder of a report and its drawings as matplotlib has them, by name."""
    drawn: dict[str, Figure] = {}
    with pytest.MonkeyPatch.context() as patch:
        save = files.save

        def keep(figure: Figure, prefix: Path) -> list[Path]:
            drawn[prefix.name] = figure
            return save(figure, prefix)

        patch.setattr(files, "save", keep)
        outcome = STUDIES[request.param](tmp_path_factory.mktemp("study"))
        return write_report(outcome).parent, drawn


def test_every_axis_of_numbers_has_two_or_more(figures: tuple[Path, dict[str, Figure]]) -> None:
    _, drawn = figures
    assert len(drawn) >= 6
    for name, figure in drawn.items():
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                labels = seen(axis)
                assert labels or not has_labels(axis), f"{name}: an axis without a number"
                if labels and all(re.fullmatch(r"−?[\d.]+(e−?\d+)?", label) for label in labels):
                    assert len(labels) == len(set(labels)) >= 2, f"{name}: {labels}"


def seen(axis: Axis) -> list[str]:
    """The texts at the ticks that lie within the axis and are shown."""
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    ticks = [tick for tick in axis.get_major_ticks() if low - slack <= tick.get_loc() <= high + slack]
    return [text.get_text() for tick in ticks for text in (tick.label1, tick.label2) if text.get_visible()]


def has_labels(axis: Axis) -> bool:
    """Whether the axis is one that shows labels: not that of an inner pane, nor the width of a colour bar."""
    locator = axis.get_major_locator()
    is_bare = isinstance(locator, NullLocator) or (isinstance(locator, FixedLocator) and len(locator.locs) == 0)
    shown = axis.get_tick_params()
    return not is_bare and any(shown.get(f"label{side}", False) for side in ("left", "right", "bottom", "top"))


def test_no_drawing_and_no_page_has_a_picture_inside(figures: tuple[Path, dict[str, Figure]]) -> None:
    folder, drawn = figures
    for file in [folder / "report.html", *(folder / "figures" / f"{name}.svg" for name in drawn)]:
        text = file.read_text(encoding="utf-8")
        assert "<image" not in text
        assert "data:" not in text


def test_colours_that_stand_for_values_are_those_of_the_page_in_no_form(tmp_path: Path) -> None:
    """The cells have just the colours that the page replaces elsewhere."""
    roles = [INK, RULE, PAPER, *PALETTE]

    def draw() -> Figure:
        figure = Figure()
        axes = figure.add_subplot()
        axes.pcolormesh(np.arange(len(roles))[None], cmap=ListedColormap(roles))
        axes.scatter(range(len(roles)), [1] * len(roles), c=range(len(roles)), cmap=ListedColormap(roles))
        axes.plot([0, 1], [0, 1], color=PALETTE[0])
        axes.fill_between([0, 1], [0, 1], color=PALETTE[1], alpha=0.2)
        return figure

    drawn = files.figure(tmp_path, "map", "A map.", draw)
    assert isinstance(drawn, Drawn)
    root = ElementTree.fromstring(drawn.svg)
    parts = {str(node.get("id")): ElementTree.tostring(node, encoding="unicode") for node in root.iter("g")}
    for kind in ("QuadMesh", "PathCollection"):
        [cells] = [text for name, text in parts.items() if kind in name]
        assert "var(" not in cells
        assert {colour.lower() for colour in roles} <= set(re.findall("#[0-9a-f]{6}", cells))
    assert len(re.findall(r"var\(--figure-line-1, #0072b2\)", drawn.svg)) == 1
    assert "var(--figure-line-2, " in drawn.svg
    axis = next(text for name, text in parts.items() if "matplotlib.axis_1" in name)
    assert re.findall("#[0-9a-f]{6}", re.sub(r"var\([^)]*\)", "", axis)) == []


def test_the_page_has_a_dark_form_of_every_colour_it_may_replace() -> None:
    style = (Path(files.__file__).parents[1] / "templates" / "style.css").read_text(encoding="utf-8")
    assert set(re.findall(r"--figure-([\w-]+):", style)) == set(files.ROLES.values())


@pytest.mark.parametrize("columns", [COLUMNS, (3, 4)])
@pytest.mark.parametrize("count", range(1, 61))
def test_no_pane_is_alone_in_its_row_and_few_places_are_empty(count: int, columns: Sequence[int]) -> None:
    rows, across = balanced(count, columns)
    in_last_row = count - (rows - 1) * across
    assert across <= max(columns)
    assert 0 < in_last_row <= across
    assert in_last_row > 1 or rows == 1 or all(count % each == 1 for each in columns)


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (2, (1, 2)), (8, (2, 4)), (9, (3, 3)), (13, (3, 5))])
def test_nine_arms_stand_in_three_rows_of_three(count: int, grid: tuple[int, int]) -> None:
    assert balanced(count, COLUMNS) == grid


def some_arms(count: int) -> list[Arm]:
    return [Arm(f"arm {i}", {"norm.eps": i}, ()) for i in range(count)]


def test_no_two_arms_or_levels_are_drawn_alike() -> None:
    styles = [tuple(map(str, style.values())) for style in arm_styles(some_arms(MOST_DRAWN))]
    assert len(set(styles)) == MOST_DRAWN
    levels = [tuple(map(str, level_style(index).values())) for index in range(MOST_DRAWN)]
    assert len(set(levels)) == MOST_DRAWN


@pytest.mark.parametrize("count", [7, 8, 9, 30])
def test_arms_differ_in_the_drawing_too(tmp_path: Path, count: int) -> None:
    outcome = study_of_arms(tmp_path, count)
    figure = draw_curves(outcome.drawn_arms, "arm 00", "train/loss", "loss")
    lines = [line for axes in figure.axes for line in axes.lines if line.get_linestyle() != "None"]
    styles = {(line.get_color(), str(line._dash_pattern)) for line in lines}  # type: ignore[attr-defined]
    assert len(styles) == count + (count > 7)  # where each has a pane, the baseline is drawn in grey too
    limits = {axes.get_ylim() for axes in figure.axes}
    assert len(limits) == 1


def test_labels_beside_and_above_drawings_tell_all_arms_apart(tmp_path: Path) -> None:
    factors: dict[str, list[Any]] = {"init": ["he", "xavier"], "norm": ["none", "batch"], "optimizer.lr": [0.05, 0.1]}
    labels = [f"init={init} norm={norm} optimizer.lr={rate}" for init, norm, rate in product(*factors.values())]
    node = {"factors": factors, "baseline": labels[0], "seeds": 2}
    figure = draw_every_seed(outcome_of(tmp_path, node, {label: runs(0.5, 0.6) for label in labels}))
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(set(rows)) == len(labels)
    assert len(set(titles(labels, 1.6))) == len(labels)


def unit(size: float, at: float = 0.0) -> Percentiles:
    line = np.linspace(1, 2, 5)
    return Percentiles(np.arange(1.0, 6.0), at - size * line, at + 0 * line, at + size * line)


def test_units_of_all_arms_are_drawn_on_one_axis() -> None:
    figure = draw_unit_percentiles({"small": unit(1), "large": unit(5), "shifted": unit(2, at=4), "flat": unit(0)})
    [limits] = {axes.get_ylim() for axes in figure.axes}
    assert limits[0] < -10
    assert limits[1] > 10
    assert all(axes.get_title("right") == "" for axes in figure.axes)


def test_a_unit_that_would_flatten_the_others_has_an_axis_of_its_own_that_is_marked() -> None:
    lost = unit(3e4)
    lost.high[-1] = np.inf
    figure = draw_unit_percentiles({"one": unit(1), "lost": lost, "other": unit(2), "unknown": unit(np.nan)})
    one, far, other, unknown = figure.axes
    assert one.get_ylim() == other.get_ylim() == unknown.get_ylim()
    assert one.get_ylim()[1] < 10
    assert far.get_ylim()[0] < -6e4
    assert [axes.get_title("right") for axes in figure.axes] == ["", OWN_SCALE, "", ""]
