"""The curves of arms, read back with TensorBoard's own reader and held against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tests.studies.conftest import MakeRun

from bnexp.analysis.arms import Arm
from bnexp.studies.evidence import Evidence
from bnexp.studies.tensorboard import folder_names, write_curves

CURVES = {"one arm": [[0.1, 0.5, 0.7], [0.3, 0.6, 0.6], [0.2, 0.1, 0.9]], "a/b: <script>": [[0.2, 0.8]]}


@pytest.fixture
def evidence(make_run: MakeRun) -> Evidence:
    return Evidence(
        [
            Arm(label, {}, tuple(make_run(seed, curve, arm=str(index)) for seed, curve in enumerate(curves)))
            for index, (label, curves) in enumerate(CURVES.items())
        ]
        + [Arm("nothing finished", {}, ())]
    )


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def scalars(folder: Path, tag: str) -> tuple[list[int], list[float]]:
    events = read(folder).Scalars(tag)
    return [event.step for event in events], [event.value for event in events]


def runs_in(folder: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("*tfevents*"))


def test_each_arm_has_its_mean_and_its_lowest_and_highest_run(evidence: Evidence, tmp_path: Path) -> None:
    write_curves(tmp_path / "study", evidence)
    folder = tmp_path / "study" / "tensorboard"
    assert runs_in(folder) == [
        f"{arm}/{series}" for arm in ("a_b_ _script_", "one arm") for series in ("lower", "mean", "upper")
    ]
    for name, curves in zip(("one arm", "a_b_ _script_"), CURVES.values(), strict=True):
        values = np.array(curves)
        for series, expected in {"mean": values.mean(0), "lower": values.min(0), "upper": values.max(0)}.items():
            steps, found = scalars(folder / name / series, "val/accuracy")
            assert steps == [10 * (index + 1) for index in range(values.shape[1])]
            assert found == pytest.approx(expected)
            # make_run's losses are 2 less the accuracy: the lowest loss is that of the highest accuracy.
            loss = 2 - {"mean": values.mean(0), "lower": values.max(0), "upper": values.min(0)}[series]
            assert scalars(folder / name / series, "train/loss")[1] == pytest.approx(loss)


def test_the_layout_names_three_tags_of_one_run_and_they_are_the_band(evidence: Evidence, tmp_path: Path) -> None:
    write_curves(tmp_path / "my study", evidence)
    folder = tmp_path / "my study" / "tensorboard"
    mean = read(folder / "one arm" / "mean")
    layout = Layout.FromString(mean.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    [category] = layout.category
    assert category.title == "my study"
    assert {chart.title for chart in category.chart} == {"val/accuracy", "val/loss", "train/accuracy", "train/loss"}
    for chart in category.chart:
        [series] = chart.margin.series
        for tag, run in ((series.value, "mean"), (series.lower, "lower"), (series.upper, "upper")):
            assert scalars(folder / "one arm" / "mean", tag) == scalars(folder / "one arm" / run, chart.title)
    others = [name for name in runs_in(folder) if name != "one arm/mean"]
    assert all(read(folder / name).Tags()["tensors"] == [] for name in others)


def test_a_run_that_ended_early_keeps_its_last_value_and_a_value_that_is_not_finite_makes_a_gap(
    make_run: MakeRun, tmp_path: Path
) -> None:
    runs = (make_run(0, [0.5, 0.7, 0.9]), make_run(1, [0.4, 0.1], status="diverged"))
    write_curves(tmp_path, Evidence([Arm("arm", {}, runs)]))
    mean = tmp_path / "tensorboard" / "arm" / "mean"
    assert scalars(mean, "val/accuracy") == ([10, 20, 30], pytest.approx([0.45, 0.4, 0.5]))
    runs = (runs[0], make_run(2, [0.4, float("nan"), 0.1], status="diverged"))
    write_curves(tmp_path, Evidence([Arm("arm", {}, runs)]))
    assert scalars(mean, "val/accuracy") == ([10, 30], pytest.approx([0.45, 0.5]))


def test_the_time_is_that_of_training(make_run: MakeRun, tmp_path: Path) -> None:
    runs = (make_run(0, [0.5, 0.7], seconds_per_step=0.1), make_run(1, [0.5, 0.7], seconds_per_step=0.3))
    write_curves(tmp_path, Evidence([Arm("arm", {}, runs)]))
    events = read(tmp_path / "tensorboard" / "arm" / "lower").Scalars("val/loss")
    assert [event.wall_time for event in events] == pytest.approx([2.0, 4.0])


def test_old_files_are_replaced_and_what_is_not_ours_stays(
    evidence: Evidence, make_run: MakeRun, tmp_path: Path
) -> None:
    folder = tmp_path / "tensorboard"
    write_curves(tmp_path, evidence)
    first = {path: path.read_bytes() for path in folder.rglob("*tfevents*")}
    write_curves(tmp_path, evidence)
    assert {path: path.read_bytes() for path in folder.rglob("*tfevents*")} == first
    (folder / "one arm" / "mean" / "notes.txt").touch()
    write_curves(tmp_path, Evidence([Arm("new", {}, (make_run(7, [0.5]),))]))
    assert runs_in(folder) == ["new/lower", "new/mean", "new/upper"]
    assert sorted(path.name for path in folder.iterdir()) == ["new", "one arm"]
    assert (folder / "one arm" / "mean" / "notes.txt").exists()


def test_names_are_kept_where_a_file_system_takes_them() -> None:
    labels = ["norm=batch optimizer.lr=0.1", "N(0, 0.01²)", "a/b", "a:b", "A_b", "..", "", "x" * 300, "=cmd()|`x`\n"]
    assert folder_names(labels) == [
        "norm=batch optimizer.lr=0.1", "N(0, 0.01²)", "a_b", "a_b-2", "A_b-3", "arm", "arm-2", "x" * 100, "=cmd()__x__",
    ]  # fmt: skip


@given(st.lists(st.text(), unique=True, max_size=8))
def test_any_labels_become_different_names_of_one_folder_each(labels: list[str]) -> None:
    names = folder_names(labels)
    assert len({name.casefold() for name in names}) == len(labels)
    for name in names:
        assert Path(name).parts == (name,)
        assert not set(name) & set('<>:"/\\|?*\0\n')
        assert len(name.encode()) < 256
        assert name.strip(" .") == name
