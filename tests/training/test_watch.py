"""Measuring changes nothing: runs with signals and without are the same run, bit by bit, stopped or not."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.training.small_run import (
    BATCH,
    Listener,
    assert_same_run,
    assert_same_state,
    convnet,
    crop,
    make,
    recorded,
)

from bnexp.nn import norms
from bnexp.training.loop import Training
from bnexp.training.record import read_rows

KEYWORDS = {"eps": 1e-5, "momentum": 0.1, "affine": True, "input": False}
NOISY = norms.noisy_batch(max_shift=0.5, max_scale=1.25, jitter=0.1, **KEYWORDS)
ALL_NOISE = {"input": 0.1, "weight": 0.01, "activation": 0.1, "gradient": 0.01}
VARIANTS: dict[str, dict[str, Any]] = {
    "without norm": {"norm": norms.none(), "optimizer": "sgd"},
    "batch norm, dropout, augmentation, momentum": {"dropout": 0.3, "augmentation": crop},
    "noise everywhere": {"noise": ALL_NOISE},
    "noisy batch norm": {"norm": NOISY, "optimizer": "adam"},
    "cumulative averages": {"norm": norms.batch(**KEYWORDS | {"momentum": None})},
    "ghost batch norm": {"norm": norms.ghost_batch(ghost_size=4, **KEYWORDS)},
    "weight norm": {"norm": norms.weight(), "optimizer": "rmsprop"},
    "spectral norm": {"norm": norms.spectral(n_power_iterations=1, eps=1e-12)},
    "bf16": {"precision": "bf16", "dropout": 0.3},
    "clipping, smoothing, several evaluations an epoch": {
        "gradient_clip": 0.5,
        "label_smoothing": 0.1,
        "eval_every": 0.4,
    },
}


def trained(folder: Path, **changes: Any) -> Training:
    training = make(folder, **{"epochs": 2, **changes})
    training.run({})
    return training


def without_signals(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if not key.startswith("signal/")} for row in recorded(folder)]


@pytest.mark.parametrize("level", ["light", "full"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_training_is_the_same_bit_by_bit_with_signals_and_without(variant: str, level: str, tmp_path: Path) -> None:
    off = trained(tmp_path / "off", **VARIANTS[variant])
    generator = torch.get_rng_state()
    watched = trained(tmp_path / level, **VARIANTS[variant], signals=level)
    assert_same_state(watched.parts.model.state_dict(), off.parts.model.state_dict())
    assert_same_state(watched.parts.optimizer.state_dict(), off.parts.optimizer.state_dict())
    for purpose, draws in off.parts.generators.items():
        assert torch.equal(watched.parts.generators[purpose].get_state(), draws.get_state())
    assert torch.equal(torch.get_rng_state(), generator)
    assert without_signals(tmp_path / level) == recorded(tmp_path / "off")
    assert any(key.startswith("signal/") for key in recorded(tmp_path / level)[-1])
    assert all(module.training for module in watched.parts.model.modules())


@pytest.mark.parametrize("stop", [{"stop_row": 1}, {"stop_step": 10}])
def test_a_stopped_run_goes_on_with_the_signals_of_one_that_was_not(stop: dict[str, int], tmp_path: Path) -> None:
    changes = {"signals": "full", "dropout": 0.3, "augmentation": crop, "norm": NOISY}
    whole = trained(tmp_path / "whole", **changes)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "stopped", listener=Listener(**stop), **changes)
    rest = trained(tmp_path / "stopped", **changes)
    assert_same_run(rest, whole)
    histograms = [training.folder.histograms.read_text() for training in (whole, rest)]
    assert histograms[0] == histograms[1]
    assert len(histograms[0].splitlines()) == len(recorded(tmp_path / "whole"))


def test_light_rows_have_every_light_statistic_of_every_layer(tmp_path: Path) -> None:
    trained(tmp_path, signals="light")
    keys = [key for key in recorded(tmp_path)[0] if key.startswith("signal/")]
    assert {key.split("/")[1] for key in keys} == {"0", "6", "9"}  # the convolution and the linear layers
    percentiles = [
        f"{place}p{percent}" for place in ("preactivation_", "activation_", "unit0/") for percent in (15, 50, 85)
    ]
    moments = [f"{place}_{name}" for place in ("preactivation", "activation") for name in ("mean", "std")]
    others = ["zero_fraction", "dead_fraction", "gradient_norm", "update_ratio"]
    assert {key.split("/", 2)[2] for key in keys} == {*percentiles, *moments, *others}
    assert not (tmp_path / "histograms.jsonl").exists()


def test_full_rows_have_the_statistics_of_the_issue_and_every_one_is_a_number(tmp_path: Path) -> None:
    trained(tmp_path, signals="full")
    row = recorded(tmp_path)[-1]
    whole = {key.removeprefix("signal/") for key in row if key.startswith("signal/") and key.count("/") == 1}
    assert whole == {
        "loss_min",
        "loss_max",
        "gradient_change_min",
        "gradient_change_max",
        "effective_smoothness",
        "gradient_signal_to_noise",
        "hessian_largest",
        "hessian_smallest",
        "hessian_negative_fraction",
    }
    assert {key.split("/")[1] for key in row if key.endswith("variance_ratio")} == {"1", "7"}  # the norms
    of_layers = {"0/covariate_shift", "9/covariate_shift_cosine", "6/gradient_signal_to_noise", "0/saturated_fraction"}
    assert {f"signal/{key}" for key in of_layers} <= row.keys()
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in row.values())


def test_the_recorded_update_ratio_is_that_of_the_last_step_before_the_evaluation(tmp_path: Path) -> None:
    steps_per_epoch = 52 // 8
    words = {"epochs": 1, "optimizer": "sgd", "schedule": lambda step, num_steps: 1.0}
    early = make(tmp_path / "early", listener=Listener(stop_step=steps_per_epoch - 1), **words)
    with pytest.raises(KeyboardInterrupt):
        early.run({})
    before = {name: value.clone() for name, value in early.parts.model.state_dict().items()}
    late = trained(tmp_path / "late", signals="light", **words)
    after = late.parts.model.state_dict()
    names = ("9.weight", "9.bias")
    change = math.sqrt(sum(float((after[name] - before[name]).double().square().sum()) for name in names))
    size = math.sqrt(sum(float(before[name].double().square().sum()) for name in names))
    assert recorded(tmp_path / "late")[0]["signal/9/update_ratio"] == pytest.approx(change / size, rel=1e-4)


def test_tensorboard_has_the_same_tags_and_the_histograms_also_after_a_stop(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, signals="full", listener=Listener(stop_row=1))
    trained(tmp_path, signals="full")
    events = EventAccumulator(str(tmp_path), size_guidance={"histograms": 0})
    events.Reload()
    rows = read_rows(tmp_path / "metrics.jsonl")
    tag = "signal/0/activation_std"
    assert [event.value for event in events.Scalars(tag)] == pytest.approx([row[tag] for row in rows])
    assert {"signal/0/weight", "signal/0/activation", "signal/9/gradient"} <= set(events.Tags()["histograms"])
    histograms = events.Histograms("signal/0/weight")
    assert [event.step for event in histograms] == [row["step"] for row in rows]
    assert histograms[0].histogram_value.num == 6 * 9  # the weights of the convolution


def test_a_run_that_diverges_is_recorded_with_its_signals(tmp_path: Path) -> None:
    training = make(tmp_path, norm=norms.none(), optimizer="sgd", lr=1e12, signals="full")
    assert training.run({})["status"] == "diverged"
    row = recorded(tmp_path)[-1]
    assert any(key.startswith("signal/") for key in row)


@pytest.mark.parametrize("level", ["auto", "off"])
def test_a_probe_that_is_dear_beside_the_training_is_left_out_unless_asked_for(level: str, tmp_path: Path) -> None:
    training = trained(tmp_path, signals=level)
    assert training.monitor.level == "off"
    assert not any(key.startswith("signal/") for key in recorded(tmp_path)[0])


def test_frozen_layers_have_no_update_and_keep_their_mode(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = convnet(BATCH, 0.0)
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    model[1].train = partial(lambda norm, mode=True: norm, model[1])  # as bnexp.models.finetune does
    model[1].training = False
    training = trained(tmp_path, model=model, signals="full")
    row = recorded(tmp_path)[-1]
    assert "signal/0/update_ratio" not in row
    assert "signal/0/gradient_norm" in row
    assert not training.parts.model[1].training
    assert not training.parts.model[0].weight.requires_grad
