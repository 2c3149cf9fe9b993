"""Batch norm and its relatives, against torch.nn and against the papers' formulas in NumPy."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from bnexp.nn import norms

EXACT = {"rtol": 1e-10, "atol": 1e-10}
# PyTorch refuses ε = 0; this one is lost beside a variance of any usual size: 1.25 + 1e-30 == 1.25.
TINY = 1e-30
SHAPES = pytest.mark.parametrize("shape", [(8, 4), (8, 4, 3, 5)], ids=["dense", "spatial"])


def normal(*shape, seed=0):
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return 3 * x + 2


def batch(num_features, spatial=True, eps=1e-5, momentum=0.1, affine=True):
    norm = norms.batch(eps=eps, momentum=momentum, affine=affine, input=False)
    return norm.features(num_features, spatial).double()


def with_affine(layer):
    """Give weight and bias values that show when one is taken for the other."""
    with torch.no_grad():
        for start, p in enumerate(layer.parameters(), 2):
            p.copy_(torch.linspace(start, start + 1, p.numel()))
    return layer


def over_channels(x):
    """(N, C, …) as an array (values, C)."""
    return np.moveaxis(x.detach().numpy(), 1, -1).reshape(-1, x.shape[1])


def results(layer, shape):
    """Outputs, gradients and buffers of two training steps and an evaluation."""
    found = []
    for step in range(3):
        layer.train(step < 2)
        x = normal(*shape, seed=step).requires_grad_()
        y = layer(x)
        layer.zero_grad()
        (y * normal(*shape, seed=9)).sum().backward()
        found += [y, x.grad, *(p.grad.clone() for p in layer.parameters()), *(b.clone() for b in layer.buffers())]
    return found


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("eps", [TINY, 1e-5])
@pytest.mark.parametrize("affine", [True, False])
@SHAPES
def test_batch_norm_equals_torch_forward_backward_and_in_its_buffers(shape, affine, eps, momentum):
    theirs = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(4, eps, momentum, affine)
    pairs = zip(
        results(with_affine(batch(4, len(shape) == 4, eps, momentum, affine)), shape),
        results(with_affine(theirs.double()), shape),
        strict=True,
    )
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, **EXACT)


@SHAPES
def test_sync_batch_norm_in_one_process_equals_batch_norm(shape):
    ours = norms.sync_batch(eps=1e-5, momentum=0.1, affine=True, input=False).features(4, len(shape) == 4)
    for found, expected in zip(results(ours.double(), shape), results(batch(4), shape), strict=True):
        torch.testing.assert_close(found, expected, **EXACT)


def test_the_batch_norms_keep_the_state_dict_of_torch():
    names = list(nn.BatchNorm2d(4).state_dict())
    common = {"eps": 1e-5, "momentum": 0.1, "affine": True, "input": False}
    noise = {"max_shift": 0.5, "max_scale": 1.25, "jitter": 0.1}
    for norm in (
        norms.batch(**common),
        norms.ghost_batch(ghost_size=2, **common),
        norms.noisy_batch(**noise, **common),
    ):
        assert list(norm.features(4, True).state_dict()) == names


def test_the_worked_example_of_four_values():
    x = torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=torch.float64)
    # μ = 2.5, σ² = 1.25: ±1.5 / √1.25 and ±0.5 / √1.25
    exact = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]], dtype=torch.float64) / 5**0.5
    torch.testing.assert_close(batch(1, eps=TINY)(x), exact, rtol=0, atol=1e-15)
    assert [round(value, 4) for value in batch(1, eps=TINY)(x).flatten().tolist()] == [-1.3416, -0.4472, 0.4472, 1.3416]
    assert round(batch(1)(x)[3].item(), 6) == 1.341635
    assert batch(1)(x)[3].item() > 1.17  # with the unbiased variance it would be 1.161895


def test_batch_norm_backward_is_the_closed_form():
    x, gradient = normal(8, 4, 3, 5).requires_grad_(), normal(8, 4, 3, 5, seed=1)
    layer = with_affine(batch(4))
    layer(x).backward(gradient)
    values, dy = over_channels(x), over_channels(gradient)
    sigma = np.sqrt(values.var(0) + 1e-5)
    normalized = (values - values.mean(0)) / sigma
    gamma = layer.weight.detach().numpy()
    dx = gamma / sigma * (dy - dy.mean(0) - normalized * (dy * normalized).mean(0))
    np.testing.assert_allclose(over_channels(x.grad), dx, atol=1e-10)
    np.testing.assert_allclose(layer.weight.grad.numpy(), (dy * normalized).sum(0), atol=1e-10)
    np.testing.assert_allclose(layer.bias.grad.numpy(), dy.sum(0), atol=1e-10)


def test_weight_starts_at_1_and_bias_at_0_and_the_deviation_and_mean_undo_the_norm():
    layer, x = batch(4, eps=1e-5), normal(8, 4, 3, 5)
    assert layer.weight.tolist() == [1.0] * 4
    assert layer.bias.tolist() == [0.0] * 4
    with torch.no_grad():
        layer.weight.copy_((x.var((0, 2, 3), correction=0) + 1e-5).sqrt())
        layer.bias.copy_(x.mean((0, 2, 3)))
    torch.testing.assert_close(layer(x), x, **EXACT)


def test_momentum_is_the_weight_of_the_new_batch_and_the_stored_variance_is_unbiased():
    layer, mean, var = batch(4, momentum=0.3), np.zeros(4), np.ones(4)
    for step in range(3):
        x = normal(8, 4, 3, 5, seed=step)
        layer(x)
        mean = 0.7 * mean + 0.3 * over_channels(x).mean(0)
        var = 0.7 * var + 0.3 * over_channels(x).var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, atol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), var, atol=1e-12)


def test_momentum_null_averages_all_batches_equally():
    layer = batch(4, momentum=None)
    seen = [normal(8, 4, 3, 5, seed=step) for step in range(5)]
    for x in seen:
        layer(x)
    means = np.mean([over_channels(x).mean(0) for x in seen], 0)
    variances = np.mean([over_channels(x).var(0, ddof=1) for x in seen], 0)
    np.testing.assert_allclose(layer.running_mean.numpy(), means, atol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), variances, atol=1e-12)


def ghost(ghost_size, momentum=0.1):
    norm = norms.ghost_batch(ghost_size=ghost_size, eps=1e-5, momentum=momentum, affine=True, input=False)
    return norm.features(4, True).double()


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_ghost_batch_of_all_examples_is_batch_norm(momentum):
    pairs = zip(
        results(ghost(8, momentum), (8, 4, 3, 5)), results(batch(4, momentum=momentum), (8, 4, 3, 5)), strict=True
    )
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, **EXACT)


def test_ghost_batches_have_their_own_statistics_and_update_the_averages_in_turn():
    layer, x = ghost(4, momentum=0.3), normal(12, 4, 3, 5)
    y, mean, var = layer(x), np.zeros(4), np.ones(4)
    for part, normalized in zip(x.split(4), y.split(4), strict=True):
        values = over_channels(part)
        expected = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5)
        np.testing.assert_allclose(over_channels(normalized), expected, atol=1e-10)
        mean, var = 0.7 * mean + 0.3 * values.mean(0), 0.7 * var + 0.3 * values.var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, atol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), var, atol=1e-12)
    expected = (over_channels(x) - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(over_channels(layer.eval()(x)), expected, atol=1e-10)


def noisy(num_features, max_shift=0.5, max_scale=1.25, jitter=0.1):
    norm = norms.noisy_batch(
        max_shift=max_shift, max_scale=max_scale, jitter=jitter, eps=1e-5, momentum=0.1, affine=True, input=False
    )
    return norm.features(num_features, True).double()


def test_noisy_batch_norm_without_noise_is_batch_norm():
    pairs = zip(results(noisy(4, 0.0, 1.0, 0.0), (8, 4, 3, 5)), results(batch(4), (8, 4, 3, 5)), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, **EXACT)


def noise_of(layer, x):
    """The scale and shift (N, C) that ``layer`` put on each example and channel."""
    y, z = batch(x.shape[1])(x).flatten(2), layer(x).flatten(2)
    scale = (z[:, :, 1] - z[:, :, 0]) / (y[:, :, 1] - y[:, :, 0])
    return scale.detach(), (z[:, :, 0] - scale * y[:, :, 0]).detach()


def test_the_noise_of_a_step_has_a_centre_per_channel_and_the_stated_spread():
    scale, shift = noise_of(noisy(2000), normal(50, 2000, 2, 1))
    centre = shift.mean(0)
    assert centre.abs().max() < 0.5 + 0.03
    assert centre.std().item() == pytest.approx(1 / 12**0.5, rel=0.05)  # U(-0.5, 0.5)
    spread = shift - centre
    assert spread.abs().max() < 0.1 + 0.03
    assert spread.std().item() == pytest.approx(0.2 / 12**0.5, rel=0.05)  # U(-0.1, 0.1)
    middle = scale.mean(0)
    assert middle.mean().item() == pytest.approx(1.125, abs=0.01)  # U(1, 1.25)
    assert middle.std().item() == pytest.approx((0.25**2 / 12 + 0.1**2 / 50) ** 0.5, rel=0.05)
    assert (scale - middle).std().item() == pytest.approx(0.1, rel=0.05)  # N(·, 0.1²)


def test_the_noise_is_new_in_each_step_and_comes_from_the_layers_generator():
    layer, x = noisy(4), normal(8, 4, 3, 5)
    layer.generator = torch.Generator().manual_seed(3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = layer(x), layer(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.allclose(first, second)
    layer.generator.manual_seed(3)
    assert torch.equal(layer(x), first)


def test_there_is_no_noise_at_test_time():
    layer, plain, x = noisy(4), batch(4), normal(8, 4, 3, 5)
    layer(x)
    plain(x)
    torch.testing.assert_close(layer.eval()(x), plain.eval()(x), **EXACT)


def mean_only(momentum=0.3):
    return with_affine(norms.mean_only_batch(momentum=momentum, input=False).features(4, True).double())


@SHAPES
def test_mean_only_batch_norm_subtracts_the_mean_and_adds_the_bias(shape):
    layer, x = mean_only(), normal(*shape)
    bias = layer.bias.detach().numpy()
    values = over_channels(x)
    np.testing.assert_allclose(over_channels(layer(x)), values - values.mean(0) + bias, atol=1e-12)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.3 * values.mean(0), atol=1e-12)
    np.testing.assert_allclose(over_channels(layer.eval()(x)), values - 0.3 * values.mean(0) + bias, atol=1e-12)


def test_the_running_mean_of_mean_only_batch_norm_with_momentum_null_is_the_mean():
    layer, seen = mean_only(momentum=None), [normal(8, 4, 3, 5, seed=step) for step in range(3)]
    for x in seen:
        layer(x)
    expected = over_channels(torch.cat(seen)).mean(0)
    np.testing.assert_allclose(layer.running_mean.numpy(), expected, atol=1e-12)


def batch_group(num_groups, num_features=4, momentum=0.1, spatial=True):
    norm = norms.batch_group(num_groups=num_groups, eps=1e-5, momentum=momentum, affine=True, input=False)
    return with_affine(norm.features(num_features, spatial).double())


@SHAPES
def test_batch_group_norm_with_as_many_groups_as_channels_is_batch_norm(shape):
    pairs = zip(results(batch_group(4), shape), results(with_affine(batch(4)), shape), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, **EXACT)


@SHAPES
def test_batch_group_norm_takes_its_statistics_over_examples_group_and_positions(shape):
    layer, x = batch_group(2, momentum=0.3), normal(*shape)
    x[:, 3] += 5
    found = over_channels(layer(x))
    values = over_channels(x)
    gamma, beta = (p.detach().numpy() for p in (layer.weight, layer.bias))
    for group in (slice(0, 2), slice(2, 4)):
        part = values[:, group]
        expected = (part - part.mean()) / np.sqrt(part.var() + 1e-5) * gamma[group] + beta[group]
        np.testing.assert_allclose(found[:, group], expected, atol=1e-10)
    means = [0.3 * values[:, :2].mean(), 0.3 * values[:, 2:].mean()]
    variances = [0.7 + 0.3 * values[:, :2].var(ddof=1), 0.7 + 0.3 * values[:, 2:].var(ddof=1)]
    np.testing.assert_allclose(layer.statistics.running_mean.numpy(), means, atol=1e-12)
    np.testing.assert_allclose(layer.statistics.running_var.numpy(), variances, atol=1e-12)
    expected = (values[:, 2] - means[1]) / np.sqrt(variances[1] + 1e-5) * gamma[2] + beta[2]
    np.testing.assert_allclose(over_channels(layer.eval()(x))[:, 2], expected, atol=1e-10)


@pytest.mark.parametrize("layer", [batch(4, momentum=None), ghost(3), mean_only(), batch_group(2)], ids=str)
def test_gradients_are_those_of_finite_differences(layer):
    layer = copy.deepcopy(layer)
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def outputs(x, *values):
        return functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(outputs, (normal(6, 4, 2, 2).requires_grad_(), *parameters))
