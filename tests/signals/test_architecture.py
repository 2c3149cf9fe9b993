"""The counts against closed forms, PyTorch's own FLOP counter, and the networks' own tensors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.flop_counter import FlopCounterMode

from bnexp.config.compose import compose_run
from bnexp.config.folder import choices, config_dir
from bnexp.experiment import prepare
from bnexp.signals.architecture import LayerSummary, summarize

MODELS = {
    "mlp": ["model=mlp", "model.width=16"],
    "convnet": ["model=convnet", "model.depth=4", "model.width=8"],
    "resnet": ["model=resnet", "model.depth=8", "model.width=8"],
    "vgg": ["model=vgg", "model.width=8"],
    "googlenet": ["model=googlenet", "model.width=24"],
}


def network(*words: str) -> nn.Module:
    """A network as training starts with it, for the 1×8×8 digits."""
    return prepare(*compose_run(["training.device=cpu", "dataset.subset=0.2", *words])).model


def one(module: nn.Module, *input_shape: int) -> LayerSummary:
    [row] = summarize(module, input_shape)
    return row


def flops(model: nn.Module, *input_shape: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, *input_shape))
    return counter.get_total_flops()


def test_the_net_of_the_lecture_has_4_72_300_and_26_parameters() -> None:
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 12), nn.Linear(12, 2))
    rows = summarize(net, (1,))
    assert [row.trainable for row in rows] == [4, 0, 72, 0, 300, 26]
    assert [row.multiply_adds for row in rows] == [1 * 2, 0, 2 * 24, 0, 24 * 12, 12 * 2]
    assert [row.output_shape for row in rows] == [(2,), (2,), (24,), (24,), (12,), (2,)]


def test_a_batch_norm_of_five_units_has_10_trainable_and_10_running_numbers() -> None:
    row = one(nn.BatchNorm1d(5), 5)
    assert (row.trainable, row.frozen, row.buffers) == (10, 0, 10)


def test_a_convolution_has_k_squared_weights_for_each_pair_of_channels_in_a_group() -> None:
    row = one(nn.Conv2d(8, 12, kernel_size=3, stride=2, padding=1, groups=4), 8, 9, 9)
    assert row.trainable == 3 * 3 * 8 // 4 * 12 + 12
    assert row.output_shape == (12, 5, 5)
    assert row.multiply_adds == 3 * 3 * 8 // 4 * 12 * 5 * 5


def test_a_reparametrized_layer_is_one_row_with_the_parameters_that_there_really_are() -> None:
    weight = one(parametrizations.weight_norm(nn.Linear(3, 4)), 3)
    assert (weight.kind, weight.trainable, weight.buffers) == ("Linear", 3 * 4 + 4 + 4, 0)  # v, g, bias
    spectral = one(parametrizations.spectral_norm(nn.Conv2d(2, 5, 3)), 2, 3, 3)
    assert (spectral.kind, spectral.trainable) == ("Conv2d", 2 * 5 * 9 + 5)
    assert spectral.buffers == 5 + 2 * 9  # the singular vectors
    assert spectral.multiply_adds == 2 * 5 * 9


@pytest.mark.parametrize("norm", choices([config_dir()], "norm"))
@pytest.mark.parametrize("model", ["resnet", "mlp"])
def test_the_rows_add_up_to_all_parameters_and_buffers_of_the_network(model: str, norm: str) -> None:
    if norm == "instance":  # which is for images
        model = "resnet"
    net = network(*MODELS[model], f"norm={norm}")
    rows = summarize(net, (1, 8, 8))
    assert sum(row.trainable for row in rows) == sum(parameter.numel() for parameter in net.parameters())
    buffers = {name: buffer.numel() for name, buffer in net.named_buffers() if "num_batches" not in name}
    assert sum(row.buffers for row in rows) == sum(buffers.values())
    assert len({row.name for row in rows}) == len(rows)


@pytest.mark.parametrize("norm", ["none", "batch", "weight"])
@pytest.mark.parametrize("model", MODELS)
def test_multiply_adds_are_half_of_the_flops_that_pytorch_counts(model: str, norm: str) -> None:
    net = network(*MODELS[model], f"norm={norm}")
    assert 2 * sum(row.multiply_adds for row in summarize(net, (1, 8, 8))) == flops(net, 1, 8, 8)


@pytest.mark.parametrize(
    ("layer", "input_shape"),
    [
        (nn.Conv2d(4, 6, (3, 5), stride=2, padding=1, dilation=2, groups=2), (4, 16, 17)),
        (nn.Conv1d(3, 7, 4), (3, 20)),
        (nn.Conv3d(2, 3, 2), (2, 4, 5, 6)),
        (nn.Linear(6, 5), (6,)),
        (nn.Linear(6, 5), (4, 3, 6)),  # on each of 12 positions
    ],
)
def test_multiply_adds_of_a_layer_are_half_of_its_flops(layer: nn.Module, input_shape: tuple[int, ...]) -> None:
    assert 2 * one(layer, *input_shape).multiply_adds == flops(layer, *input_shape)


def test_fixups_scalars_are_counted_where_they_are() -> None:
    net = network(*MODELS["resnet"], "init=fixup", "norm=none")
    rows = {row.name: row for row in summarize(net, (1, 8, 8))}
    assert rows["blocks.0.residual"].trainable == 1
    assert rows["stem.activation"].trainable == 1
    assert sum(row.trainable for row in rows.values()) == sum(parameter.numel() for parameter in net.parameters())


class Twice(nn.Module):
    """One layer called twice, one with the same weight, one that is never called, a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(7, 1)
        self.tied = nn.Linear(4, 4, bias=False)
        self.layer = nn.Linear(4, 4)
        self.tied.weight = self.layer.weight
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.tied(self.layer(self.layer(x)))


def test_shared_weights_count_once_and_each_call_counts() -> None:
    rows = {row.name: row for row in summarize(Twice(), (4,))}
    assert list(rows) == ["layer", "tied", "", "unused"]  # as they are computed, then the rest
    assert (rows["layer"].trainable, rows["layer"].multiply_adds) == (4 * 4 + 4, 2 * 4 * 4)
    assert (rows["tied"].trainable, rows["tied"].multiply_adds) == (0, 4 * 4)
    assert (rows[""].kind, rows[""].trainable) == ("Twice", 1)
    assert (rows["unused"].trainable, rows["unused"].multiply_adds, rows["unused"].output_shape) == (8, 0, ())


def test_frozen_parameters_stand_apart() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    row = one(layer, 3)
    assert (row.trainable, row.frozen) == (2, 6)


def test_what_does_nothing_is_left_out() -> None:
    net = nn.Sequential(nn.Identity(), nn.Dropout(0.0), nn.Dropout(0.5), nn.Flatten())
    assert [row.kind for row in summarize(net, (1, 2, 2))] == ["Dropout", "Flatten"]


def test_the_network_stays_as_it_is() -> None:
    net = network(*MODELS["convnet"], "norm=batch").train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    summarize(net, (1, 8, 8))
    assert all(module.training and not module._forward_hooks for module in net.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
