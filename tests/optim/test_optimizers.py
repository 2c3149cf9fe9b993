"""The optimizers' first steps against the papers' formulas in plain numbers, and which parameters decay.

The loss is ½ Σ a (θ − c)², whose gradient is a (θ − c): steep in one direction, flat in another.
"""

import math
from typing import get_type_hints

import pytest
import torch
from torch import nn

from bnexp.nn import norms
from bnexp.optim import optimizers
from bnexp.ranges import violation

A, C, START = (100.0, 1.0, 0.01), (1.0, -2.0, 3.0), (0.5, 0.25, -0.125)
DEFAULTS = {
    "sgd": {"lr": 0.005, "weight_decay": 0.0, "decay_all": False},
    "momentum": {"lr": 0.005, "momentum": 0.9, "weight_decay": 0.0, "decay_all": False},
    "nesterov": {"lr": 0.005, "momentum": 0.9, "weight_decay": 0.0, "decay_all": False},
    "rmsprop": {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0, "decay_all": False},
    "adam": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "decay_all": False},
    "adamw": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "decay_all": False},
}
EVERY = pytest.mark.parametrize("name", sorted(DEFAULTS))


def make(name, model, **changes):
    return getattr(optimizers, name)(model, **DEFAULTS[name] | changes)


def weights(values=START):
    """A linear layer without bias whose weight (1, 3) holds ``values``."""
    layer = nn.Linear(len(values), 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([values], dtype=torch.float64))
    return layer


def descend(optimizer, layer, num_steps=3, a=A, c=C):
    """Take steps down the quadratic; return the weights after each."""
    a, c = torch.tensor(a, dtype=torch.float64), torch.tensor(c, dtype=torch.float64)
    path = []
    for _ in range(num_steps):
        optimizer.zero_grad()
        (0.5 * a * (layer.weight[0] - c) ** 2).sum().backward()
        optimizer.step()
        path.append(layer.weight[0].tolist())
    return path


def by_hand(rule, num_steps=3):
    """The same with ``rule(theta, g, state, t) -> theta`` for each coordinate on its own."""
    theta, states, path = list(START), [{"v": 0.0, "m": 0.0} for _ in START], []
    for t in range(1, num_steps + 1):
        theta = [rule(x, a * (x - c), state, t) for x, a, c, state in zip(theta, A, C, states, strict=True)]
        path.append(theta)
    return path


def assert_same(path, expected):
    torch.testing.assert_close(torch.tensor(path), torch.tensor(expected), rtol=1e-12, atol=0)


DECAY = pytest.mark.parametrize("decay", [0.0, 0.1])


@DECAY
def test_sgd_steps_down_the_gradient(decay):
    layer = weights()
    path = descend(make("sgd", layer, weight_decay=decay), layer)
    assert_same(path, by_hand(lambda x, g, _state, _t: x - 0.005 * (g + decay * x)))


@DECAY
def test_momentum_takes_the_whole_new_gradient(decay):
    def rule(x, g, state, _t):
        state["v"] = 0.9 * state["v"] + g + decay * x
        return x - 0.005 * state["v"]

    layer = weights()
    assert_same(descend(make("momentum", layer, weight_decay=decay), layer), by_hand(rule))


def test_the_averaging_form_of_momentum_is_the_same_at_a_tenfold_learning_rate():
    def rule(x, g, state, _t):
        state["v"] = 0.9 * state["v"] + (1 - 0.9) * g
        return x - 0.05 * state["v"]

    layer = weights()
    assert_same(descend(make("momentum", layer, lr=0.005), layer), by_hand(rule))


@DECAY
def test_nesterov_looks_ahead(decay):
    def rule(x, g, state, _t):
        g = g + decay * x
        state["v"] = 0.9 * state["v"] + g
        return x - 0.005 * (g + 0.9 * state["v"])

    layer = weights()
    assert_same(descend(make("nesterov", layer, weight_decay=decay), layer), by_hand(rule))


@DECAY
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rmsprop_divides_by_the_root_mean_square_with_eps_outside_the_root(decay, momentum):
    def rule(x, g, state, _t):
        g = g + decay * x
        state["v"] = 0.99 * state["v"] + 0.01 * g * g
        state["m"] = momentum * state["m"] + g / (math.sqrt(state["v"]) + 0.5)
        return x - 0.01 * state["m"]

    layer = weights()
    optimizer = make("rmsprop", layer, eps=0.5, momentum=momentum, weight_decay=decay)
    assert_same(descend(optimizer, layer), by_hand(rule))


def adam_rule(decay, eps):
    def rule(x, g, state, t):
        g = g + decay * x
        state["m"] = 0.9 * state["m"] + (1 - 0.9) * g
        state["v"] = 0.999 * state["v"] + (1 - 0.999) * g * g
        return x - 0.01 * (state["m"] / (1 - 0.9**t)) / (math.sqrt(state["v"] / (1 - 0.999**t)) + eps)

    return rule


@DECAY
@pytest.mark.parametrize("eps", [1e-8, 0.5])
def test_adam_follows_algorithm_1_with_weight_decay_in_the_gradient(decay, eps):
    layer = weights()
    assert_same(descend(make("adam", layer, weight_decay=decay, eps=eps), layer), by_hand(adam_rule(decay, eps)))


@DECAY
def test_adamw_shrinks_the_weights_beside_adams_step_on_the_bare_gradient(decay):
    bare = adam_rule(0.0, 1e-8)
    layer = weights()
    path = descend(make("adamw", layer, weight_decay=decay), layer)
    assert_same(path, by_hand(lambda x, g, state, t: bare(x, g, state, t) - 0.01 * decay * x))


@pytest.mark.parametrize(
    ("name", "first_step"),
    [
        ("adam", 1.0),  # corrected: lr, whatever the size of the gradient
        ("adamw", 1.0),
        ("rmsprop", 10.0),  # not corrected: lr / √(1 − α)
    ],
)
def test_bias_correction_makes_the_first_step_as_long_as_the_learning_rate(name, first_step):
    layer = weights()
    (after,) = descend(make(name, layer), layer, num_steps=1)
    steps = [abs(new - old) / 0.01 for new, old in zip(after, START, strict=True)]
    assert steps == pytest.approx([first_step] * 3, rel=1e-5)


def test_l2_under_adam_pulls_every_weight_alike_and_decoupled_decay_in_proportion():
    path = {}
    for name in ("adam", "adamw"):
        layer = weights()
        (path[name],) = descend(make(name, layer, weight_decay=0.1), layer, num_steps=1, a=(0.0, 0.0, 0.0))
    assert path["adam"] == pytest.approx([x - math.copysign(0.01, x) for x in START], rel=1e-5)
    assert path["adamw"] == pytest.approx([x * (1 - 0.01 * 0.1) for x in START], rel=1e-12)


def network():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    return model


@EVERY
@pytest.mark.parametrize("decay_all", [False, True])
def test_norms_and_biases_do_not_decay_unless_all_do(name, decay_all):
    model = network()
    optimizer = make(name, model, lr=0.01, weight_decay=0.5, decay_all=decay_all)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    decayed = {key for key, parameter in model.named_parameters() if (parameter < 1).all()}
    kept = {key for key, parameter in model.named_parameters() if (parameter == 1).all()}
    everything = {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"}
    assert decayed == (everything if decay_all else {"0.weight", "3.weight"})
    assert decayed | kept == everything


@EVERY
def test_every_trainable_parameter_is_trained_once_and_frozen_ones_are_left_out(name):
    model = network()
    model[0].weight.requires_grad_(False)
    parameters = [parameter for group in make(name, model).param_groups for parameter in group["params"]]
    expected = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sorted(map(id, parameters)) == sorted(map(id, expected))


@EVERY
def test_a_model_of_biases_alone_has_one_group(name):
    model = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False).features(3, True)
    assert len(make(name, model, weight_decay=0.1).param_groups) == 1


@EVERY
def test_the_learning_rate_of_all_groups_can_be_set(name):
    model = network()
    optimizer = make(name, model, weight_decay=0.1)
    optimizers.set_lr_(optimizer, 0.0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    model(torch.randn(4, 1, 3, 3)).sum().backward()
    optimizer.step()
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(("name", "refused"), [("momentum", [1.0, 1.5]), ("nesterov", [0.0, 1.0, 1.5])])
def test_a_momentum_that_piles_up_without_end_is_refused(name, refused):
    annotation = get_type_hints(getattr(optimizers, name), include_extras=True)["momentum"]
    assert violation(0.9, annotation) is None
    assert all(violation(value, annotation) for value in refused)
