"""The optimizers' first steps against the papers' formulas in plain numbers, and which parameters decay."""

import math
from typing import get_type_hints

import pytest
import torch
from torch import nn

from bnexp.nn import norms
from bnexp.optim import optimizers
from bnexp.ranges import violation

DEFAULTS = {
    "sgd": {"lr": 0.005, "weight_decay": 0.0, "decay_all": False},
    "gd": {"lr": 0.005, "weight_decay": 0.0, "decay_all": False},
    "asgd": {"lr": 0.005, "lambd": 0.0, "alpha": 0.75, "weight_decay": 0.0, "decay_all": False},
    "momentum": {"lr": 0.005, "momentum": 0.9, "weight_decay": 0.0, "decay_all": False},
    "nesterov": {"lr": 0.005, "momentum": 0.9, "weight_decay": 0.0, "decay_all": False},
    "rmsprop": {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0, "decay_all": False},
    "adam": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "decay_all": False},
    "adamw": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "decay_all": False},
}
EVERY = pytest.mark.parametrize("name", sorted(DEFAULTS))


def make(name, model, **changes):
    return getattr(optimizers, name)(model, **DEFAULTS[name] | changes)


def maker(name, **changes):
    return lambda model: make(name, model, **changes)


DECAY = pytest.mark.parametrize("decay", [0.0, 0.1])


@DECAY
@pytest.mark.parametrize("name", ["sgd", "gd"])
def test_sgd_and_gd_step_down_the_gradient(quadratic, name, decay):
    quadratic.compare(maker(name, weight_decay=decay), lambda x, g, _state, _t: x - 0.005 * (g + decay * x))


@DECAY
def test_momentum_takes_the_whole_new_gradient(quadratic, decay):
    def rule(x, g, state, _t):
        state["v"] = 0.9 * state["v"] + g + decay * x
        return x - 0.005 * state["v"]

    quadratic.compare(maker("momentum", weight_decay=decay), rule)


def test_the_averaging_form_of_momentum_is_the_same_at_a_tenfold_learning_rate(quadratic):
    def rule(x, g, state, _t):
        state["v"] = 0.9 * state["v"] + (1 - 0.9) * g
        return x - 0.05 * state["v"]

    quadratic.compare(maker("momentum", lr=0.005), rule)


@DECAY
def test_nesterov_looks_ahead(quadratic, decay):
    def rule(x, g, state, _t):
        g = g + decay * x
        state["v"] = 0.9 * state["v"] + g
        return x - 0.005 * (g + 0.9 * state["v"])

    quadratic.compare(maker("nesterov", weight_decay=decay), rule)


@DECAY
def test_asgd_has_a_falling_learning_rate_and_shrinks_all_weights(quadratic, decay):
    def rule(x, g, _state, t):
        eta = 0.005 / (1 + 0.5 * 0.005 * (t - 1)) ** 0.75
        return (1 - 0.5 * eta) * x - eta * (g + decay * x)

    make = maker("asgd", lambd=0.5, weight_decay=decay)
    quadratic.compare(make, rule, tolerance=1e-7)  # PyTorch keeps η in float32


@DECAY
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rmsprop_divides_by_the_root_mean_square_with_eps_outside_the_root(quadratic, decay, momentum):
    def rule(x, g, state, _t):
        g = g + decay * x
        state["v"] = 0.99 * state["v"] + 0.01 * g * g
        state["m"] = momentum * state["m"] + g / (math.sqrt(state["v"]) + 0.5)
        return x - 0.01 * state["m"]

    quadratic.compare(maker("rmsprop", eps=0.5, momentum=momentum, weight_decay=decay), rule)


def adam_rule(decay, eps):
    def rule(x, g, state, t):
        g = g + decay * x
        state["m"] = 0.9 * state["m"] + (1 - 0.9) * g
        state["v"] = 0.999 * state["v"] + (1 - 0.999) * g * g
        return x - 0.01 * (state["m"] / (1 - 0.9**t)) / (math.sqrt(state["v"] / (1 - 0.999**t)) + eps)

    return rule


@DECAY
@pytest.mark.parametrize("eps", [1e-8, 0.5])
def test_adam_follows_algorithm_1_with_weight_decay_in_the_gradient(quadratic, decay, eps):
    quadratic.compare(maker("adam", weight_decay=decay, eps=eps), adam_rule(decay, eps))


@DECAY
def test_adamw_shrinks_the_weights_beside_adams_step_on_the_bare_gradient(quadratic, decay):
    bare = adam_rule(0.0, 1e-8)
    quadratic.compare(
        maker("adamw", weight_decay=decay), lambda x, g, state, t: bare(x, g, state, t) - 0.01 * decay * x
    )


@pytest.mark.parametrize(
    ("name", "first_step"),
    [
        ("adam", 1.0),  # corrected: lr, whatever the size of the gradient
        ("adamw", 1.0),
        ("rmsprop", 10.0),  # not corrected: lr / √(1 − α)
    ],
)
def test_bias_correction_makes_the_first_step_as_long_as_the_learning_rate(quadratic, name, first_step):
    (after,) = quadratic.descend(maker(name), num_steps=1)
    steps = [abs(new - old) / 0.01 for new, old in zip(after, quadratic.start, strict=True)]
    assert steps == pytest.approx([first_step] * 3, rel=1e-5)


def test_l2_under_adam_pulls_every_weight_alike_and_decoupled_decay_in_proportion(quadratic):
    path = {}
    for name in ("adam", "adamw"):
        (path[name],) = quadratic.descend(maker(name, weight_decay=0.1), num_steps=1, steepness=0.0)
    assert path["adam"] == pytest.approx([x - math.copysign(0.01, x) for x in quadratic.start], rel=1e-5)
    assert path["adamw"] == pytest.approx([x * (1 - 0.01 * 0.1) for x in quadratic.start], rel=1e-12)


def test_l2_under_sgd_is_decoupled_decay(quadratic):
    decay, lr = 0.1, 0.005
    quadratic.compare(maker("sgd", weight_decay=decay), lambda x, g, _state, _t: (1 - lr * decay) * x - lr * g)


def network():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    return model


@EVERY
def test_a_saved_optimizer_goes_on_as_if_it_had_not_stopped(quadratic, name):
    quadratic.compare_resumed(maker(name))


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
