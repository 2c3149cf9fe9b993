"""What theory says of wide networks: gains, vanishing and exploding signals, dead units, initial loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tests.signals.nets import batch, deep, filled, inspected, mlp
from torch import nn

from bnexp.nn.gain import gaussian_powers
from bnexp.nn.losses import cross_entropy, focal, mse
from bnexp.signals.inspection import inspect
from bnexp.signals.probe import probe


def gains(net: nn.Module) -> list[float]:
    return [layer.variance_gain for layer in inspected(net).hidden[1:] if layer.variance_gain is not None]


@pytest.mark.parametrize(
    ("variance", "function", "expected"),
    [
        (2, nn.ReLU, 1.0),  # He
        (1, nn.ReLU, 1 / 2),  # Xavier
        (1 / 3, nn.ReLU, 1 / 6),  # PyTorch's default
        (1, nn.Identity, 1.0),
        (2, lambda: nn.LeakyReLU(0.5), 1.25),  # 1 + a²
        (3, nn.ReLU, 1.5),
    ],
)
def test_the_variance_of_a_wide_network_changes_by_what_theory_says(
    variance: float, function: Callable[[], nn.Module], expected: float
) -> None:
    found = gains(deep(variance, depth=12, function=function))
    assert math.prod(found) ** (1 / len(found)) == pytest.approx(expected, rel=0.06)
    assert inspected(deep(variance, depth=12, function=function)).variance_factor == pytest.approx(expected, rel=0.06)


def test_thirty_layers_lose_a_factor_of_two_to_the_29_under_xavier_and_keep_their_variance_under_he() -> None:
    xavier, he = (inspected(deep(variance, depth=30)) for variance in (1, 2))
    log_loss = 2 * math.log2(xavier.hidden[-1].preactivation_std / xavier.hidden[0].preactivation_std)
    assert log_loss == pytest.approx(-29, abs=2.5)
    assert he.hidden[-1].preactivation_std == pytest.approx(he.hidden[0].preactivation_std, rel=0.5)


def test_tanh_under_xavier_is_near_linear_for_small_signals_and_settles_below_one() -> None:
    net = deep(1, depth=6, function=nn.Tanh)
    with torch.no_grad():
        net[0].weight.mul_(0.05)
    assert gains(net) == pytest.approx([1.0] * 5, rel=0.05)
    power, _ = gaussian_powers(nn.Tanh())
    assert gains(deep(1, depth=2, function=nn.Tanh)) == pytest.approx([power], rel=0.05)


def test_backward_signals_of_a_homogeneous_network_vanish_and_its_weights_gradients_do_not() -> None:
    layers = inspected(deep(1, depth=20)).layers
    assert layers[0].preactivation_gradient_ratio == pytest.approx(2 ** (-19 / 2), rel=0.7)
    assert 0.1 < layers[0].gradient_ratio < 10


@pytest.mark.parametrize(("variance", "grows"), [(0.02, False), (200.0, True)])
def test_a_wrong_width_of_the_init_makes_signals_vanish_or_explode(variance: float, grows: bool) -> None:
    factor = inspected(deep(variance, depth=30, width=128), 128).variance_factor
    assert factor == pytest.approx(variance / 2, rel=0.2)
    assert (factor > 1) is grows


def test_units_under_a_large_negative_bias_are_dead_and_have_no_gradient() -> None:
    net = deep(2, depth=3)
    with torch.no_grad():
        net[2].bias[:128] = -1000.0
    found = inspected(net)
    gradient = probe(net, *batch(512), cross_entropy).layers[1].weight_gradient
    assert not gradient[:128].any()
    assert gradient[128:].any(1).all()
    assert found.layers[1].dead_fraction == 128 / 512
    assert found.dead_fraction == pytest.approx(128 / (3 * 512), abs=0.005)  # a few die by chance
    assert found.layers[1].zero_fraction == pytest.approx(128 / 512 + (384 / 512) / 2, abs=0.02)


def test_half_of_the_activations_behind_a_relu_are_zero_and_no_unit_is_dead() -> None:
    first = inspected(deep(2, depth=1)).layers[0]
    assert first.zero_fraction == pytest.approx(0.5, abs=0.01)
    assert first.dead_fraction == 0
    assert first.activation_mean == pytest.approx(math.sqrt(2) / math.sqrt(2 * math.pi), rel=0.02)
    assert first.preactivation_std == pytest.approx(math.sqrt(2), rel=0.02)


def test_batch_norm_holds_every_variance_at_one() -> None:
    found = inspected(deep(1 / 3, depth=10, width=128, norm=True), 128)
    assert [layer.preactivation_std for layer in found.hidden] == pytest.approx([1.0] * 10, rel=1e-3)
    assert found.layers[0].variance_gain is None


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (cross_entropy, math.log(10)),
        (lambda logits, targets: focal(logits, targets, gamma=2.0), 0.9**2 * math.log(10)),
        (mse, 0.1),
    ],
)
def test_the_initial_loss_of_an_output_layer_of_zeros_is_that_of_equal_logits(
    loss: Callable[..., torch.Tensor], expected: float
) -> None:
    net = mlp(20, 30, 10)
    nn.init.zeros_(net[2].weight)
    nn.init.zeros_(net[2].bias)
    found = inspect(net, *batch(20), loss, init=None, activation=nn.ReLU(), is_normalized=False)
    assert found.initial_loss == pytest.approx(expected, rel=1e-5)
    assert found.expected_initial_loss == pytest.approx(expected, rel=1e-5)
    assert found.num_examples == 256


def test_shape_and_fans_are_those_of_the_weight() -> None:
    first, last = inspected(filled(mlp(20, 30, 10), 2), 20).layers
    assert (first.shape, first.fan_in, first.fan_out, first.function) == ((30, 20), 20, 30, "ReLU")
    assert (last.shape, last.fan_in, last.fan_out, last.function) == ((10, 30), 30, 10, "")
    assert (last.gradient_ratio, last.preactivation_gradient_ratio) == (1, 1)
