"""AdaGrad, AdaDelta and Rprop: their first steps against the papers' formulas in plain numbers."""

import math
from functools import partial
from typing import get_type_hints

import pytest
import torch
from torch import nn

from bnexp.optim import step_sizes
from bnexp.ranges import violation

DECAY = pytest.mark.parametrize("decay", [0.0, 0.1])
EPS = pytest.mark.parametrize("eps", [1e-8, 0.5])


@DECAY
@EPS
def test_adagrad_divides_by_the_root_of_all_squares_so_far(quadratic, decay, eps):
    def rule(x, g, state, _t):
        g = g + decay * x
        state["v"] += g * g
        return x - 0.1 * g / (math.sqrt(state["v"]) + eps)

    make = partial(step_sizes.adagrad, lr=0.1, eps=eps, weight_decay=decay, decay_all=False)
    quadratic.compare(make, rule)


@DECAY
@EPS
def test_adadelta_steps_in_units_of_its_steps_with_eps_inside_the_roots(quadratic, decay, eps):
    def rule(x, g, state, _t):
        g = g + decay * x
        state["v"] = 0.9 * state["v"] + (1 - 0.9) * g * g
        step = g * math.sqrt(state["m"] + eps) / math.sqrt(state["v"] + eps)
        state["m"] = 0.9 * state["m"] + (1 - 0.9) * step * step
        return x - 0.5 * step

    make = partial(step_sizes.adadelta, lr=0.5, rho=0.9, eps=eps, weight_decay=decay, decay_all=False)
    quadratic.compare(make, rule)


RPROP = {"lr": 0.3, "eta_minus": 0.5, "eta_plus": 1.2, "min_step": 0.2, "max_step": 0.5}


def test_rprop_steps_by_signs_and_skips_a_step_where_the_sign_turned(quadratic):
    turns = []

    def rule(x, g, state, t):
        product = state["m"] * g
        size = state.get("size", 0.3) * (1.2 if product > 0 else 0.5 if product < 0 else 1.0)
        state["size"] = min(max(size, 0.2), 0.5)
        if product < 0:
            turns.append(t)
            g = 0.0
        state["m"] = g
        return x - math.copysign(state["size"], g) if g else x

    quadratic.compare(partial(step_sizes.rprop, **RPROP), rule, num_steps=8)
    assert turns  # or this test would show little


def test_rprop_trains_what_is_not_frozen():
    layer = nn.Linear(2, 2)
    layer.weight.requires_grad_(False)
    (group,) = step_sizes.rprop(layer, **RPROP).param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(layer.bias)]


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [("eta_minus", [0.5], [0.0, 1.0]), ("eta_plus", [1.2, 3.0], [1.0, 0.5])],
)
def test_factors_that_do_not_shrink_or_grow_a_step_are_refused(name, taken, refused):
    annotation = get_type_hints(step_sizes.rprop, include_extras=True)[name]
    assert all(violation(value, annotation) is None for value in taken)
    assert all(violation(value, annotation) for value in refused)


DECAYING = {
    "adagrad": partial(step_sizes.adagrad, lr=0.1, eps=1e-10, weight_decay=0.5, decay_all=False),
    "adadelta": partial(step_sizes.adadelta, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.5, decay_all=False),
}
EVERY = DECAYING | {"rprop": partial(step_sizes.rprop, **RPROP)}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_a_saved_optimizer_goes_on_as_if_it_had_not_stopped(quadratic, make):
    quadratic.compare_resumed(make)


@pytest.mark.parametrize("make", DECAYING.values(), ids=DECAYING)
def test_weights_decay_and_biases_do_not(make):
    layer = nn.Linear(2, 2)
    nn.init.ones_(layer.weight)
    nn.init.ones_(layer.bias)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    make(layer).step()
    assert (layer.weight < 1).all()
    assert (layer.bias == 1).all()
