"""Norms of weights, against their defining identities and a singular value decomposition."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from bnexp.nn import norms

EXACT = {"rtol": 1e-10, "atol": 1e-10}
LAYERS = pytest.mark.parametrize(
    "build", [lambda: nn.Linear(12, 5).double(), lambda: nn.Conv2d(3, 5, 2).double()], ids=["linear", "conv"]
)


def spectral(n_power_iterations=1):
    return norms.spectral(n_power_iterations=n_power_iterations, eps=1e-12)


def largest_singular_value(weight):
    return np.linalg.svd(weight.detach().flatten(1).numpy(), compute_uv=False)[0]


@LAYERS
def test_weight_norm_starts_as_the_same_layer_and_is_length_times_direction(build):
    layer = build()
    start = layer.weight.detach().clone()
    norms.weight().weight(layer)
    torch.testing.assert_close(layer.weight, start, **EXACT)
    length, direction = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    with torch.no_grad():
        length.copy_(torch.arange(1, 6).view_as(length))
        direction.mul_(7)
    units = start.flatten(1).numpy()
    expected = units / np.linalg.norm(units, axis=1, keepdims=True) * np.arange(1, 6)[:, None]
    np.testing.assert_allclose(layer.weight.detach().flatten(1), expected, atol=1e-10)


@LAYERS
def test_weight_norm_gradients_follow_the_papers_equation_3(build):
    layer = norms.weight().weight(build())
    length, direction = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    upstream = torch.randn_like(direction)
    (layer.weight * upstream).sum().backward()
    g, v, dw = length.detach().flatten(1).numpy(), direction.detach().flatten(1).numpy(), upstream.flatten(1).numpy()
    norm = np.linalg.norm(v, axis=1, keepdims=True)
    dg = (dw * v).sum(1, keepdims=True) / norm
    np.testing.assert_allclose(length.grad.flatten(1), dg, atol=1e-10)
    np.testing.assert_allclose(direction.grad.flatten(1), g / norm * dw - g * dg / norm**2 * v, atol=1e-10)


@LAYERS
def test_centered_weights_have_mean_zero_and_the_stated_length(build):
    layer = build()
    start = layer.weight.detach().flatten(1).numpy().copy()
    norms.centered_weight().weight(layer)
    np.testing.assert_allclose(
        layer.weight.detach().flatten(1), start - start.mean(1, keepdims=True), atol=1e-10, err_msg="start"
    )
    length = layer.parametrizations.weight.original0
    with torch.no_grad():
        length.copy_(torch.arange(1, 6).view_as(length))
    units = layer.weight.detach().flatten(1).numpy()
    np.testing.assert_allclose(units.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), np.arange(1, 6), atol=1e-10)
    originals = (length.detach().requires_grad_(), layer.parametrizations.weight.original1.detach().requires_grad_())
    assert torch.autograd.gradcheck(layer.parametrizations.weight[0], originals, fast_mode=True)


@LAYERS
@pytest.mark.parametrize("choice", ["weight", "centered_weight"])
def test_an_assigned_weight_is_the_one_that_the_layer_computes_with(build, choice):
    layer = getattr(norms, choice)().weight(build())
    new = torch.randn(layer.weight.shape, dtype=torch.float64)
    new -= new.mean(tuple(range(1, new.ndim)), keepdim=True)
    with torch.no_grad():
        layer.weight = new.clone()
    torch.testing.assert_close(layer.weight, new, **EXACT)


@LAYERS
@pytest.mark.parametrize("training", [True, False])
def test_the_largest_singular_value_is_1_at_once_and_after_an_assignment(build, training):
    layer = build()
    start = layer.weight.detach().clone()
    spectral().weight(layer).train(training)
    np.testing.assert_allclose(layer.weight.detach(), start / largest_singular_value(start), atol=1e-10)
    with torch.no_grad():
        layer.weight = torch.randn_like(start)
    assert largest_singular_value(layer.weight) == pytest.approx(1, abs=1e-10)


@LAYERS
def test_the_largest_singular_value_is_1_after_enough_power_iterations(build):
    layer = spectral().weight(build()).train()
    original = layer.parametrizations.weight.original
    with torch.no_grad():
        original.copy_(torch.randn_like(original))
    off = abs(largest_singular_value(layer.weight) - 1)
    for _ in range(500):
        assert largest_singular_value(layer.weight) >= 1 - 1e-9  # uᵀWv never exceeds σ
    assert abs(largest_singular_value(layer.weight) - 1) < 1e-6 < off


def test_a_training_step_of_spectral_norm_equals_torchs():
    layer = spectral(n_power_iterations=2).weight(nn.Linear(12, 5).double())
    theirs = parametrizations.spectral_norm(nn.Linear(12, 5).double(), n_power_iterations=2)
    theirs.load_state_dict(layer.state_dict())
    for other in (layer, theirs):
        with torch.no_grad():
            other.parametrizations.weight.original.add_(torch.linspace(0, 1, 60, dtype=torch.float64).view(5, 12))
    x = torch.randn(4, 12, dtype=torch.float64)
    torch.testing.assert_close(layer(x), theirs(x), **EXACT)
    (layer(x).square().sum() + theirs(x).square().sum()).backward()
    gradients = (other.parametrizations.weight.original.grad for other in (layer, theirs))
    torch.testing.assert_close(*gradients, **EXACT)


def test_autocast_does_not_coarsen_spectral_norm():
    layer = spectral().weight(nn.Linear(64, 64))
    with torch.autocast("cpu", torch.bfloat16):
        weight = layer.weight
    assert largest_singular_value(weight) == pytest.approx(1, abs=1e-5)


def test_building_spectral_norm_twice_gives_the_same_layer_whatever_the_random_state():
    first = nn.Linear(12, 5)
    second = nn.Linear(12, 5)
    second.load_state_dict(first.state_dict())
    torch.manual_seed(1)
    spectral().weight(first)
    torch.manual_seed(2)
    spectral().weight(second)
    assert torch.equal(first.weight, second.weight)


def test_mean_only_batch_norm_comes_with_weight_norm():
    layer = norms.mean_only_batch(momentum=0.1, input=False).weight(nn.Linear(12, 5))
    assert list(layer.state_dict()) == [
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    ]
