"""Learning curves: what the lines say, and that they can be told apart."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image
from tests.analysis.synthetic import curve_rows, write_run
from tests.sealing import seal_again

from bnexp.analysis.arms import Arm, by_configuration
from bnexp.analysis.curves import COLOURS, curve, draw, drawable, save, styles
from bnexp.analysis.runs import find_runs


def arms_in(root: Path) -> list[Arm]:
    return by_configuration(find_runs([root])[0])


def one_arm(root: Path, *rows: list[dict[str, Any]]) -> Arm:
    for seed, record in enumerate(rows):
        write_run(root, "a", seed, rows=record)
    [arm] = arms_in(root)
    return arm


def many_arms(root: Path, *values: dict[str, Any]) -> list[Arm]:
    for number, settings in enumerate(values):
        for seed in range(2):
            write_run(root, f"{number:02d}", seed, rows=curve_rows([0.1 + 0.01 * number + 0.02 * seed] * 3), **settings)
    return arms_in(root)


def test_a_curve_is_the_mean_and_the_range_over_runs(tmp_path: Path) -> None:
    arm = one_arm(tmp_path, curve_rows([0.1, 0.6]), curve_rows([0.3, 0.8]), curve_rows([0.2, 1.0]))
    found = curve(arm.runs, "val/accuracy")
    assert found.epochs.tolist() == [1, 2]
    assert found.mean == pytest.approx([0.2, 0.8])
    assert (found.low.tolist(), found.high.tolist()) == ([0.1, 0.6], [0.3, 1.0])


def test_a_run_that_ended_early_keeps_its_last_value(tmp_path: Path) -> None:
    arm = one_arm(tmp_path, curve_rows([0.2, 0.4, 0.6]), curve_rows([0.0]))
    assert curve(arm.runs, "val/accuracy").mean == pytest.approx([0.1, 0.2, 0.3])


def test_runs_with_different_grids_meet_at_all_their_epochs(tmp_path: Path) -> None:
    coarse = [row | {"epoch": 2 * row["epoch"]} for row in curve_rows([0.4, 0.8])]
    found = curve(one_arm(tmp_path, curve_rows([0.0, 0.2, 0.4, 0.6]), coarse).runs, "val/accuracy")
    assert found.epochs.tolist() == [1, 2, 3, 4]
    assert found.mean == pytest.approx([np.nan, 0.3, 0.4, 0.7], nan_ok=True)


def test_a_loss_curve_ends_where_a_run_has_no_finite_loss(tmp_path: Path) -> None:
    arm = one_arm(tmp_path, curve_rows([0.1] * 3, [2.0, 1.0, 0.5]), curve_rows([0.1] * 2, [3.0, None]))
    assert curve(arm.runs, "train/loss").mean == pytest.approx([2.5, np.nan, np.nan], nan_ok=True)


def test_two_settings_become_colour_and_dashes(tmp_path: Path) -> None:
    factorial = [{"init": init, "norm": norm} for init in ("a", "b", "c") for norm in ("none", "batch")]
    found = styles(many_arms(tmp_path, *factorial))
    assert [colour for colour, _ in found] == [COLOURS[i] for i in (0, 0, 1, 1, 2, 2)]
    assert [dashes for _, dashes in found] == ["-", "--"] * 3


@pytest.mark.parametrize("num_arms", [2, 12, 30])
def test_every_arm_has_a_style_of_its_own(tmp_path: Path, num_arms: int) -> None:
    arms = many_arms(tmp_path, *({"optimizer__lr": 0.1 * (i + 1)} for i in range(num_arms)))
    assert len(set(styles(arms))) == num_arms


def test_a_grid_with_too_many_values_for_dashes_still_has_distinct_styles(tmp_path: Path) -> None:
    arms = many_arms(tmp_path, *({"norm": str(i % 6), "optimizer__lr": i // 6 + 1} for i in range(12)))
    assert len(set(styles(arms))) == 12


def test_the_figure_shows_each_arm_with_its_band_and_says_what_its_axes_are(tmp_path: Path) -> None:
    arms = many_arms(tmp_path, {"norm": "none"}, {"norm": "batch"})
    figure = draw(arms)
    accuracy, loss = figure.axes
    assert [pane.get_xlabel() for pane in figure.axes] == ["epoch", "epoch"]
    assert [pane.get_ylabel() for pane in figure.axes] == [
        "validation accuracy (fraction correct)",
        "training loss (nats)",
    ]
    assert loss.get_yscale() == "log"
    assert [to_hex(line.get_color()).upper() for line in accuracy.lines] == list(COLOURS[:2])
    assert accuracy.lines[1].get_ydata() == pytest.approx([0.12] * 3)
    assert len(accuracy.collections) == 2
    [legend] = figure.legends
    assert [text.get_text().strip() for text in legend.get_texts()] == ["norm=none (n = 2)", "norm=batch (n = 2)"]


def test_divergences_stand_in_the_legend(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 0)
    write_run(tmp_path, "a", 1, status="diverged", rows=curve_rows([0.1], [None]))
    [text] = draw(arms_in(tmp_path)).legends[0].get_texts()
    assert text.get_text().strip() == "(all) (n = 2, 1 diverged)"


def test_a_single_evaluation_is_a_point_that_can_be_seen(tmp_path: Path) -> None:
    figure = draw([one_arm(tmp_path, curve_rows([0.5]))])
    assert figure.axes[0].lines[0].get_marker() == "o"


def test_png_and_svg_are_written_the_same_each_time(tmp_path: Path) -> None:
    arms = many_arms(tmp_path / "runs", {"norm": "none"}, {"norm": "batch"})
    contents = [[path.read_bytes() for path in save(draw(arms), tmp_path / name)] for name in ("v1.2", "b")]
    assert contents[0] == contents[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.png", "b.svg", "runs", "v1.2.png", "v1.2.svg"]
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.width > 1200
    assert b"<svg" in contents[0][1]


@pytest.mark.parametrize("norm", ["$x_{", "_hidden", "<script>alert(1)</script>", "数据🙂", "a\nb", "--><script>"])
def test_a_strange_label_is_drawn_as_it_is(tmp_path: Path, norm: str) -> None:
    arms = [Arm(norm, {}, arm.runs) for arm in many_arms(tmp_path / "runs", {"norm": norm}, {"norm": "none"})]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(arms)
        _, svg = save(figure, tmp_path / "strange")
    assert norm in figure.legends[0].get_texts()[0].get_text()
    assert "<script>" not in svg.read_text()


@pytest.mark.parametrize("damage", ["", "5\n", "{}\n", '{"step": 20}\n', '{"epoch": 1.0, "step": 10}\n'])
def test_a_run_whose_evaluations_are_not_all_there_is_left_out_and_named(tmp_path: Path, damage: str) -> None:
    whole, damaged = write_run(tmp_path, seed=0), write_run(tmp_path, seed=1)
    (damaged / "metrics.jsonl").write_text(damage)
    seal_again(damaged)
    [arm], left_out = drawable(arms_in(tmp_path))
    assert [run.path for run in arm.runs] == [whole]
    assert left_out == [f"{damaged}: metrics.jsonl is missing or damaged"]


def test_an_arm_without_a_whole_run_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    (run / "metrics.jsonl").unlink()
    seal_again(run)
    assert drawable(arms_in(tmp_path))[0] == []


def test_arms_that_all_diverged_at_once_can_be_drawn(tmp_path: Path) -> None:
    arm = one_arm(tmp_path, curve_rows([0.1], [None]), curve_rows([0.1], [None]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(draw([arm]), tmp_path / "all")


LONG = "init=xavier norm=batch norm.eps=1e-05 optimizer=momentum optimizer.weight_decay=0.0005 model.depth="


@pytest.mark.parametrize(
    "labels",
    [
        [f"{LONG}{depth} schedule=cosine schedule.warmup_steps={100 * depth}" for depth in range(21)],
        ["W" * 300, "i" * 300],
        [f"norm={number}" for number in range(40)],
        [f"optimizer.lr=0.0{number} norm=group norm.num_groups={number}" for number in range(3)],
        ["数据" * 80, "a\nb"],
    ],
)
def test_the_legend_lies_within_the_figure_and_beside_no_curve(tmp_path: Path, labels: list[str]) -> None:
    write_run(tmp_path, "a", 0)
    [arm] = arms_in(tmp_path)
    figure = draw([Arm(label, {}, arm.runs) for label in labels])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks
        figure.set_dpi(160)  # as save does
        figure.draw(renderer := FigureCanvasAgg(figure).get_renderer())
        [legend] = figure.legends
        box = legend.get_window_extent(renderer)
        parts = [text.get_window_extent(renderer) for text in legend.get_texts()]
        below = min(pane.get_tightbbox(renderer).y0 for pane in figure.axes)
    assert all(figure.bbox.x0 <= part.x0 and part.x1 <= figure.bbox.x1 for part in [box, *parts])
    assert figure.bbox.y0 <= box.y0 <= box.y1 <= below
    assert figure.axes[0].get_position().height * figure.get_figheight() > 2  # inches
    assert len({text.get_text() for text in legend.get_texts()}) == len(labels)


def test_the_legend_leaves_out_the_settings_that_all_arms_share(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 0)
    [arm] = arms_in(tmp_path)
    figure = draw([Arm(f"norm=batch init={init} plus", {}, arm.runs) for init in ("he", "xavier")])
    names = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert names == ["init=he plus (n = 1)", "init=xavier plus (n = 1)"]
