"""Slices of the loss against closed forms and against weights that are moved by hand."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import nn
from torch.nn import functional as F

from bnexp.nn import norms
from bnexp.signals.landscape import direction, losses, plain

FP32 = torch.autocast("cpu", enabled=False)
POINTS = [(0.0, 0.0), (0.5, 0.0), (0.0, -1.0), (-0.7, 1.3)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def convnet(norm=None) -> nn.Module:
    torch.manual_seed(0)
    norm = norm or norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)
    model = nn.Sequential(
        norm.weight(nn.Conv2d(2, 4, 3, padding=1)), norm.features(4, True), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        norm.weight(nn.Linear(4 * 25, 3)),
    )  # fmt: skip
    with torch.no_grad():  # running statistics, weights and biases that are none of their first values
        for _ in range(3):
            model.train()(torch.randn(20, 2, 5, 5) * 2 + 1)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def batches(num_batches: int = 2):
    draws = seeded(1)
    return [(torch.randn(7, 2, 5, 5, generator=draws), torch.arange(7) % 3) for _ in range(num_batches)]


def cross_entropy(model: nn.Module, data) -> float:
    inputs, labels = (torch.cat(parts) for parts in zip(*data, strict=True))
    with torch.no_grad():
        return float(F.cross_entropy(model.eval()(inputs), labels))


def test_a_linear_softmax_has_its_closed_form_in_float64() -> None:
    draws = np.random.default_rng(0)
    weight, bias = draws.normal(size=(3, 4)), draws.normal(size=3)
    inputs, labels = draws.normal(size=(50, 4)), draws.integers(0, 3, 50)
    model = nn.Linear(4, 3, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(weight))
        model.bias.copy_(torch.from_numpy(bias))
    steps = [draws.normal(size=(3, 4)) for _ in range(2)]
    directions = [{"": torch.from_numpy(step)} for step in steps]
    data = [(torch.from_numpy(inputs), torch.from_numpy(labels))]
    found = list(losses(model, directions, POINTS, data, FP32))
    for (first, second), loss in zip(POINTS, found, strict=True):
        logits = inputs @ (weight + first * steps[0] + second * steps[1]).T + bias
        expected = (logsumexp(logits, axis=1) - logits[np.arange(50), labels]).mean()
        assert loss == pytest.approx(expected, rel=2e-6)  # evaluations take logits in float32
    assert len(set(found)) == len(POINTS)


def test_each_point_is_the_loss_of_a_network_whose_state_is_moved_by_hand() -> None:
    trained = convnet()
    model = plain(trained)
    directions = [direction(model, seeded(seed)) for seed in (3, 4)]
    found = list(losses(model, directions, POINTS, batches(), FP32))
    for (first, second), loss in zip(POINTS, found, strict=True):
        state = copy.deepcopy(trained.state_dict())
        for name in ("0", "5"):
            state[f"{name}.weight"] += first * directions[0][name] + second * directions[1][name]
        moved = convnet()
        moved.load_state_dict(state)
        assert loss == pytest.approx(cross_entropy(moved, batches()), rel=1e-5)


def test_at_zero_the_loss_is_the_networks_own() -> None:
    model = plain(convnet())
    directions = [direction(model, seeded(seed)) for seed in (3, 4)]
    [at_zero] = losses(model, directions, [(0.0, 0.0)], batches(1), FP32)
    assert at_zero == pytest.approx(cross_entropy(convnet(), batches(1)), rel=1e-6)


def test_each_filter_is_as_long_as_the_networks_and_nothing_else_moves() -> None:
    model = plain(convnet())
    found = direction(model, seeded(0))
    assert found.keys() == {"0", "5"}  # not the norm's weight and bias, and of the layers the weights alone
    for name, step in found.items():
        weight = model.get_submodule(name).weight
        assert step.shape == weight.shape
        for one, other in zip(step, weight, strict=True):
            assert float(one.double().norm()) == pytest.approx(float(other.detach().double().norm()), rel=1e-6)


def test_a_direction_is_normal_and_has_no_side() -> None:
    layer = nn.Linear(2000, 3)
    step = direction(layer, seeded(0))[""]
    cosine = (step * layer.weight).sum(1) / (step.norm(dim=1) * layer.weight.norm(dim=1))
    assert cosine.abs().max() < 5 / math.sqrt(2000)
    kurtosis = (step**4).mean() / (step**2).mean() ** 2
    assert float(kurtosis) == pytest.approx(3, abs=0.5)


def test_a_filter_of_zeros_stays_zero() -> None:
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight[0].data)
    step = direction(layer, seeded(0))[""]
    assert step[0].tolist() == [0, 0, 0]
    assert step[1].norm() > 0


def test_the_same_state_of_the_generator_gives_the_same_draws_and_another_gives_others() -> None:
    model = plain(convnet())
    one, same, other = (direction(model, seeded(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_frozen_layers_have_no_part() -> None:
    model = convnet()
    model[0].requires_grad_(False)
    assert direction(plain(model), seeded(0)).keys() == {"5"}


REPARAMETRIZED = {
    "weight": norms.weight(),
    "spectral": norms.spectral(n_power_iterations=1, eps=1e-12),
    "centered_weight": norms.centered_weight(),
}


@pytest.mark.parametrize("name", REPARAMETRIZED)
def test_a_reparametrized_layer_moves_by_the_weight_that_it_computes_with(name: str) -> None:
    trained = convnet(REPARAMETRIZED[name])
    model = plain(trained)
    assert not any("parametrizations" in key for key, _ in model.named_parameters())
    [(inputs, _)] = batches(1)
    expected = trained.eval()(inputs)
    assert torch.allclose(model(inputs), expected, atol=1e-6)
    for key, step in direction(model, seeded(0)).items():
        weight = trained.get_submodule(key).weight
        assert torch.allclose(step.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1), rtol=1e-5)


def test_the_trained_network_and_its_copy_stay_bit_for_bit_as_they_were() -> None:
    trained = convnet().train()
    before = copy.deepcopy(trained.state_dict())
    model = plain(trained)
    steps = [direction(model, seeded(0))]
    points = losses(model, steps, [(1.0,), (2.0,)], batches(), FP32)
    next(points)
    points.close()  # as Ctrl-C would
    for state in (trained.state_dict(), model.state_dict()):
        assert all(torch.equal(state[key], value) for key, value in before.items())
    assert trained.training
