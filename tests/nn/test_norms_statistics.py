"""Batch, running and population statistics at test time (claim C15)."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from bnexp.nn import norms
from bnexp.nn.statistics import batch_statistics, population_statistics_

COMMON = {"eps": 1e-5, "momentum": 0.1, "affine": True, "input": False}
CHOICES = {
    "batch": norms.batch(**COMMON),
    "ghost_batch": norms.ghost_batch(ghost_size=5, **COMMON),
    "noisy_batch": norms.noisy_batch(max_shift=0.5, max_scale=1.25, jitter=0.1, **COMMON),
    "batch_group": norms.batch_group(num_groups=2, **COMMON),
    "sync_batch": norms.sync_batch(**COMMON),
    "mean_only_batch": norms.mean_only_batch(momentum=0.1, input=False),
}
EVERY = pytest.mark.parametrize("choice", list(CHOICES))


def normal(*shape, seed=0):
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return 3 * x + torch.linspace(1, 20, shape[1], dtype=torch.float64).view(-1, *(1,) * (len(shape) - 2))


def expected_statistics(choice, x):
    """Mean and unbiased variance of every channel, or group of two, in NumPy."""
    values = np.moveaxis(x.numpy(), 1, 0)
    values = values.reshape(2 if choice == "batch_group" else 4, -1)
    return values.mean(1), values.var(1, ddof=1)


@EVERY
@pytest.mark.parametrize("sizes", [[30], [10, 20], [11, 2, 9, 8]], ids=str)
def test_population_statistics_are_those_of_all_values_however_they_are_cut_into_batches(choice, sizes):
    layer, x = CHOICES[choice].features(4, True).double(), normal(30, 4, 2, 3)
    layer(normal(10, 4, 2, 3, seed=1))
    population_statistics_(layer, x.split(sizes))
    mean, var = expected_statistics(choice, x)
    found = {name.split(".")[-1]: value.numpy() for name, value in layer.named_buffers()}
    np.testing.assert_allclose(found["running_mean"], mean, rtol=1e-12)
    if choice != "mean_only_batch":
        np.testing.assert_allclose(found["running_var"], var, rtol=1e-12)
    assert found["num_batches_tracked"] == (2 if choice == "ghost_batch" else 1)


def test_a_large_mean_does_not_spoil_the_population_variance():
    layer = CHOICES["batch"].features(1, False)
    x = 1e4 + torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))
    population_statistics_(layer, x.split(100))
    np.testing.assert_allclose(layer.running_var.item(), x.double().var().item(), rtol=1e-3)


def network(norm):
    """Two normalized layers with dropout between, in training mode with its first norm in evaluation mode."""
    model = nn.Sequential(
        norm.weight(nn.Conv2d(3, 4, 3)), norm.features(4, True), nn.Tanh(), nn.Dropout(0.5),
        norm.weight(nn.Conv2d(4, 4, 3)), norm.features(4, True),
    )  # fmt: skip
    model.double().train()
    model[1].eval()
    return model


@EVERY
def test_each_norm_sees_the_batch_normalized_inputs_of_evaluation_without_dropout_and_noise(choice):
    torch.manual_seed(0)
    model, x = network(CHOICES[choice]), normal(20, 3, 7, 7)
    population_statistics_(model, [x])
    twin = copy.deepcopy(model).eval()
    # One batch is the whole population, so its own mean is the running mean of every layer.
    with batch_statistics(twin):
        inputs = twin[:5](x)
    mean, _ = expected_statistics(choice, inputs.detach())
    last = model[5].statistics if choice == "batch_group" else model[5]
    np.testing.assert_allclose(last.running_mean.numpy(), mean, rtol=1e-10)


@EVERY
def test_modes_and_parameters_stay_as_they_were(choice):
    model = network(CHOICES[choice])
    modes = [module.training for module in model.modules()]
    parameters = copy.deepcopy(list(model.parameters()))
    population_statistics_(model, [normal(20, 3, 7, 7)])
    assert [module.training for module in model.modules()] == modes
    for before, after in zip(parameters, model.parameters(), strict=True):
        assert torch.equal(before, after)
        assert after.grad is None
    before = model[5](normal(10, 4, 2, 2)).detach()
    assert torch.isfinite(before).all()


@EVERY
def test_batch_statistics_hold_in_evaluation_mode_and_leave_no_trace(choice):
    layer, x = CHOICES[choice].features(4, True).double(), normal(12, 4, 2, 3)
    layer(normal(10, 4, 2, 3, seed=1))
    state = copy.deepcopy(layer.state_dict())
    plain = layer.eval()(x)
    with batch_statistics(layer):
        found = layer.eval()(x).detach()  # 12 is no multiple of the ghost size: the batch counts as one
        layer.train()(x)
    mean, var = expected_statistics(choice, x)
    repeat = 2 if choice == "batch_group" else 1
    deviation = 1.0 if choice == "mean_only_batch" else np.sqrt(var * (1 - 1 / (72 * repeat)) + 1e-5).repeat(repeat)
    values = np.moveaxis(x.numpy(), 1, -1)
    np.testing.assert_allclose(
        np.moveaxis(found.numpy(), 1, -1), (values - mean.repeat(repeat)) / deviation, atol=1e-10
    )
    assert not torch.allclose(found, plain)
    assert state.keys() == layer.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in layer.state_dict().items())
    torch.testing.assert_close(layer.eval()(x), plain, rtol=0, atol=0)
    layer.train()(normal(10, 4, 2, 3, seed=2))
    assert not torch.equal(next(layer.buffers()), next(iter(v for k, v in state.items() if "running_mean" in k)))


def test_an_error_inside_restores_everything():
    model = network(CHOICES["batch"])

    def broken():
        yield normal(8, 3, 7, 7)
        raise KeyboardInterrupt

    modes = [module.training for module in model.modules()]
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(KeyboardInterrupt):
        population_statistics_(model, broken())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not model[1]._forward_pre_hooks


def test_networks_without_batch_statistics_pass_through():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), norms.layer(eps=1e-5, affine=True, input=False).features(4, True))
    x = torch.randn(2, 3, 5, 5)
    expected = model(x)
    population_statistics_(model, [x])
    with batch_statistics(model):
        torch.testing.assert_close(model(x), expected)
