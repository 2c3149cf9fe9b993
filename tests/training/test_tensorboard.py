"""Event files, read back by TensorBoard's own reader."""

import math

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from bnexp.training.tensorboard import EventWriter

ROWS = [
    {"step": 10, "epoch": 0.5, "seconds": 0.1, "train/loss": 2.5, "val/loss": 2.25, "val/accuracy": 0.25, "lr": 0.1},
    {"step": 20, "epoch": 1.0, "seconds": 0.2, "train/loss": 1.5, "val/loss": 1.75, "val/accuracy": 0.5, "lr": 0.05},
    {"step": 25, "epoch": 1.25, "seconds": 0.3, "train/loss": 1.0, "val/loss": 1.5, "val/accuracy": 0.75, "lr": 0.01},
]
METRICS = {"val/loss": 1.5, "val/accuracy": 0.75, "test/loss": 1.75, "test/accuracy": 0.625, "best/epoch": 1.25}
HYPERPARAMETERS = {
    "norm": "batch",
    "seed": 3,
    "optimizer.lr": 0.1,
    "norm.affine": True,
    "training.gradient_clip": None,
    "schedule.milestones": [0.5, 0.75],
}


def write(folder, rows, earlier=(), metrics=METRICS):
    folder.mkdir(parents=True, exist_ok=True)
    writer = EventWriter(folder, earlier)
    for row in rows:
        writer.add(row)
    writer.summarize(HYPERPARAMETERS, metrics)
    writer.close()


def read(folder):
    accumulator = EventAccumulator(str(folder), {"scalars": 0})
    accumulator.Reload()
    return accumulator


def curve(accumulator, tag):
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


@pytest.mark.parametrize("num_earlier", [0, 2])
def test_curves_are_the_rows_of_the_record_also_of_a_run_that_goes_on(tmp_path, num_earlier):
    write(tmp_path, ROWS[num_earlier:], earlier=ROWS[:num_earlier])
    accumulator = read(tmp_path)
    for tag in ("train/loss", "val/loss", "val/accuracy", "lr"):
        assert curve(accumulator, tag) == [(row["step"], pytest.approx(row[tag])) for row in ROWS]


def test_scores_on_the_test_split_stand_at_the_last_step(tmp_path):
    write(tmp_path, ROWS)
    accumulator = read(tmp_path)
    assert curve(accumulator, "test/accuracy") == [(25, 0.625)]
    assert curve(accumulator, "test/loss") == [(25, 1.75)]
    curves = {"train/loss", "val/loss", "val/accuracy", "lr"}
    assert set(accumulator.Tags()["scalars"]) == curves | {"test/accuracy", "test/loss"}


def test_there_is_one_run_in_one_folder(tmp_path):
    write(tmp_path / "arm" / "0123456789-s0", ROWS)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    assert list(multiplexer.Runs()) == ["arm/0123456789-s0"]


def hparams(folder):
    """The record of each kind that the HParams tab reads."""
    contents = read(folder).PluginTagToContent("hparams")
    return {tag: HParamsPluginData.FromString(content) for tag, content in contents.items()}


def test_the_hyperparameters_are_recorded_in_the_same_run(tmp_path):
    write(tmp_path, ROWS)
    records = hparams(tmp_path)
    start = records["_hparams_/session_start_info"].session_start_info
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    assert values == {
        "norm": "batch",
        "seed": 3,
        "optimizer.lr": 0.1,
        "norm.affine": True,
        "training.gradient_clip": "None",
        "schedule.milestones": "[0.5, 0.75]",
    }
    declared = records["_hparams_/experiment"].experiment
    assert {info.name for info in declared.hparam_infos} == set(HYPERPARAMETERS)
    assert {info.name.tag for info in declared.metric_infos} == {"val/accuracy", "test/accuracy", "test/loss"}
    assert "_hparams_/session_end_info" in records


def test_a_value_that_is_missing_is_left_out(tmp_path):
    metrics = METRICS | {"test/accuracy": None, "test/loss": math.nan}
    write(tmp_path, [ROWS[0], ROWS[1] | {"train/loss": None}], metrics=metrics)
    accumulator = read(tmp_path)
    assert curve(accumulator, "train/loss") == [(10, 2.5)]
    assert "test/accuracy" not in accumulator.Tags()["scalars"]
    assert "test/loss" not in accumulator.Tags()["scalars"]
