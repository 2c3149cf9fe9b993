"""Norms of single examples, against torch.nn and against the papers' formulas in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from bnexp.nn import norms

EXACT = {"rtol": 1e-10, "atol": 1e-10}
PLAIN = {"eps": 1e-5, "affine": True, "input": False}


def normal(*shape, seed=0):
    return 3 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 2


def varied(layer):
    """The layer in float64, with values in its parameters that show when one is taken for another."""
    layer = layer.double()
    with torch.no_grad():
        for start, p in enumerate(layer.parameters(), 2):
            p.copy_(torch.linspace(start, start + 1, p.numel()).view_as(p))
    return layer


def assert_same(ours, theirs, *shape):
    for mode in (True, False):
        x, y = normal(*shape).requires_grad_(), normal(*shape).requires_grad_()
        one, other = varied(ours).train(mode), varied(theirs).train(mode)
        one.zero_grad()
        other.zero_grad()
        found, expected = one(x), other(y)
        torch.testing.assert_close(found, expected, **EXACT)
        (found * normal(*shape, seed=1)).sum().backward()
        (expected * normal(*shape, seed=1)).sum().backward()
        torch.testing.assert_close(x.grad, y.grad, **EXACT)
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, **EXACT)


def test_the_dense_norms_equal_those_of_torch():
    assert_same(norms.layer(**PLAIN).features(6, False), nn.LayerNorm(6), 5, 6)
    assert_same(norms.group(num_groups=2, **PLAIN).features(6, False), nn.GroupNorm(2, 6), 5, 6)
    assert_same(norms.rms(**PLAIN).features(6, False), nn.RMSNorm(6, eps=1e-5), 5, 6)


def test_the_spatial_norms_equal_those_of_torch():
    assert_same(norms.group(num_groups=2, **PLAIN).features(6, True), nn.GroupNorm(2, 6), 5, 6, 3, 4)
    assert_same(norms.instance(**PLAIN).features(6, True), nn.InstanceNorm2d(6, affine=True), 5, 6, 3, 4)


def test_group_norm_with_one_group_equals_layer_norm_over_channels_and_positions():
    x = normal(5, 6, 3, 4)
    layer = norms.layer(**PLAIN).features(6, True).double()
    torch.testing.assert_close(layer(x), F.layer_norm(x, (6, 3, 4)), **EXACT)
    assert_same(
        norms.group(num_groups=1, **PLAIN).features(6, True), norms.layer(**PLAIN).features(6, True), 5, 6, 3, 4
    )


def test_group_norm_with_as_many_groups_as_channels_equals_instance_norm():
    group, instance = norms.group(num_groups=6, **PLAIN), norms.instance(**PLAIN)
    assert_same(group.features(6, True), instance.features(6, True), 5, 6, 3, 4)


def test_an_instance_keeps_its_output_whatever_the_rest_of_its_batch_is():
    layer = norms.instance(**PLAIN).features(6, True).double().train()
    x = normal(5, 6, 3, 4)
    other = torch.cat([x[:1], 100 * normal(4, 6, 3, 4, seed=1)])
    torch.testing.assert_close(layer(other)[0], layer(x)[0], **EXACT)


def test_statistics_are_over_the_stated_axes_with_the_biased_variance():
    x = normal(5, 6, 3, 4)

    def standardized(v, axes):
        return (v - v.mean(axes, keepdims=True)) / np.sqrt(v.var(axes, keepdims=True) + 1e-5)

    layer = norms.layer(**PLAIN).features(6, True).double()
    instance = norms.instance(**PLAIN).features(6, True).double()
    group = norms.group(num_groups=2, **PLAIN).features(6, True).double()
    np.testing.assert_allclose(layer(x).detach(), standardized(x.numpy(), (1, 2, 3)), atol=1e-10)
    np.testing.assert_allclose(instance(x).detach(), standardized(x.numpy(), (2, 3)), atol=1e-10)
    grouped = standardized(x.numpy().reshape(5, 2, 3, 3, 4), (2, 3, 4)).reshape(x.shape)
    np.testing.assert_allclose(group(x).detach(), grouped, atol=1e-10)


def test_rms_norm_of_images_divides_by_the_root_mean_square_of_the_example():
    layer, x = varied(norms.rms(**PLAIN).features(6, True)), normal(5, 6, 3, 4)
    values, gamma = x.numpy(), np.linspace(2, 3, 6).reshape(6, 1, 1)
    expected = gamma * values / np.sqrt((values**2).mean((1, 2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-10)


def filter_response(spatial, threshold=True, eps=1e-6):
    return norms.filter_response(eps=eps, threshold=threshold, input=False).features(6, spatial)


@pytest.mark.parametrize("threshold", [True, False])
def test_filter_response_norm_is_the_papers_formula(threshold):
    layer, x = filter_response(True, threshold).double(), normal(5, 6, 3, 4)
    gamma, beta, tau = np.linspace(1, 2, 6), np.linspace(-1, 1, 6), np.linspace(0.5, -0.5, 6)
    with torch.no_grad():
        for p, values in zip(layer.parameters(), (gamma, beta, tau), strict=False):
            p.copy_(torch.from_numpy(values))
    gamma, beta, tau = (values.reshape(6, 1, 1) for values in (gamma, beta, tau))
    x = x - 2
    expected = gamma * x.numpy() / np.sqrt((x.numpy() ** 2).mean((2, 3), keepdims=True) + 1e-6) + beta
    if threshold:
        assert (expected < tau).any()
        expected = np.maximum(expected, tau)
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-10)


def test_on_dense_layers_filter_response_norm_learns_its_eps_from_1e_4():
    layer, x = filter_response(False, threshold=False).double(), normal(5, 6) / 100
    assert layer.learned_eps.item() == pytest.approx(1e-4)
    expected = x.numpy() / np.sqrt(x.numpy() ** 2 + 1e-6 + layer.learned_eps.item())
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-10)
    layer(x).square().sum().backward()
    assert layer.learned_eps.grad.item() < 0  # a larger ε shrinks the outputs
    with torch.no_grad():
        layer.learned_eps.neg_()
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-10)


def test_behind_relu_the_threshold_stays_zero_and_changes_nothing():
    with_threshold, without = filter_response(True).double(), filter_response(True, threshold=False).double()
    x = normal(5, 6, 3, 4) - 2
    found = with_threshold(x).relu()
    torch.testing.assert_close(found, without(x).relu(), rtol=0, atol=0)
    (found * normal(5, 6, 3, 4)).sum().backward()
    assert with_threshold.threshold.grad.abs().max() == 0


@pytest.mark.parametrize(
    "norm",
    [norms.rms(**PLAIN), norms.filter_response(eps=1e-6, threshold=True, input=False)],
    ids=["rms", "filter_response"],
)
def test_gradients_are_those_of_finite_differences(norm):
    for layer, x in ((norm.features(4, True), normal(3, 4, 2, 3)), (norm.features(4, False), normal(3, 4))):
        names, parameters = zip(*varied(layer).named_parameters(), strict=True)

        def outputs(x, *values, layer=layer, names=names):
            return functional_call(layer, dict(zip(names, values, strict=True)), (x,))

        assert torch.autograd.gradcheck(outputs, (x.requires_grad_(), *parameters))
