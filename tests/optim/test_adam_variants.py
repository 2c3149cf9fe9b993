"""The first steps of Adam's variants against the papers' formulas in plain numbers."""

import math
from functools import partial

import pytest
from torch import nn

from bnexp.optim import adam_variants

LR, BETA1, BETA2, PSI = 0.01, 0.9, 0.8, 0.5
KEYS = {"lr": LR, "beta1": BETA1, "beta2": BETA2, "decay_all": False}
DECAY = pytest.mark.parametrize("decay", [0.0, 0.1])
EPS = pytest.mark.parametrize("eps", [1e-8, 0.5])


def averaged(g, state):
    """Adam's two running averages of the gradient and its square."""
    state["m"] = BETA1 * state["m"] + (1 - BETA1) * g
    state["v"] = BETA2 * state["v"] + (1 - BETA2) * g * g
    return state["m"], state["v"]


@DECAY
@EPS
def test_uncorrected_adam_takes_its_averages_as_they_are(quadratic, decay, eps):
    def rule(x, g, state, _t):
        m, v = averaged(g + decay * x, state)
        return x - LR * m / (math.sqrt(v) + eps)

    quadratic.compare(partial(adam_variants.adam_uncorrected, **KEYS, eps=eps, weight_decay=decay), rule)


def test_without_its_correction_adams_first_step_is_three_times_as_long(quadratic):
    keys = KEYS | {"beta2": 0.999}
    make = partial(adam_variants.adam_uncorrected, **keys, eps=1e-8, weight_decay=0.0)
    (after,) = quadratic.descend(make, num_steps=1)
    steps = [abs(new - old) / LR for new, old in zip(after, quadratic.start, strict=True)]
    assert steps == pytest.approx([0.1 / math.sqrt(0.001)] * 3, rel=1e-4)  # 3.16


@DECAY
@EPS
def test_adamax_divides_by_the_largest_recent_gradient(quadratic, decay, eps):
    def rule(x, g, state, t):
        m, _ = averaged(g + decay * x, state)
        state["u"] = max(BETA2 * state.get("u", 0.0), abs(g + decay * x) + eps)
        return x - LR / (1 - BETA1**t) * m / state["u"]

    quadratic.compare(partial(adam_variants.adamax, **KEYS, eps=eps, weight_decay=decay), rule)


@DECAY
@EPS
def test_nadam_looks_ahead_with_a_rising_momentum(quadratic, decay, eps):
    def mu(t):
        return BETA1 * (1 - 0.5 * 0.96 ** (t * PSI))

    def rule(x, g, state, t):
        g = g + decay * x
        m, v = averaged(g, state)
        product = math.prod(mu(i) for i in range(1, t + 1))
        ahead = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
        return x - LR * ahead / (math.sqrt(v / (1 - BETA2**t)) + eps)

    make = partial(adam_variants.nadam, **KEYS, eps=eps, momentum_decay=PSI, weight_decay=decay)
    quadratic.compare(make, rule, tolerance=1e-6)  # PyTorch keeps the product of the μ in float32


@DECAY
@EPS
def test_radam_is_momentum_until_its_averages_can_be_trusted(quadratic, decay, eps):
    rho_inf = 2 / (1 - BETA2) - 1  # 9
    rectified = []

    def rule(x, g, state, t):
        m, v = averaged(g + decay * x, state)
        rho = rho_inf - 2 * t * BETA2**t / (1 - BETA2**t)
        step = m / (1 - BETA1**t)
        if rho > 5:
            rectified.append(t)
            r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
            step *= r * math.sqrt(1 - BETA2**t) / (math.sqrt(v) + eps)
        return x - LR * step

    make = partial(adam_variants.radam, **KEYS, eps=eps, weight_decay=decay)
    quadratic.compare(make, rule, num_steps=12)
    assert 1 < min(rectified) < 12  # both branches were taken


def maker(name, **changes):
    extra = {"momentum_decay": 0.004} if name == "nadam" else {}
    return partial(getattr(adam_variants, name), **KEYS, **extra, eps=1e-8, **changes)


EVERY = pytest.mark.parametrize("name", ["adam_uncorrected", "adamax", "nadam", "radam"])


@EVERY
def test_a_saved_optimizer_goes_on_as_if_it_had_not_stopped(quadratic, name):
    quadratic.compare_resumed(maker(name, weight_decay=0.1))


@EVERY
def test_weights_decay_and_biases_do_not(name):
    layer = nn.Linear(2, 2)
    nn.init.ones_(layer.weight)
    nn.init.ones_(layer.bias)
    optimizer = maker(name, weight_decay=0.5)(layer)
    for parameter in layer.parameters():
        parameter.grad = parameter.new_zeros(parameter.shape)
    optimizer.step()
    assert (layer.weight < 1).all()
    assert (layer.bias == 1).all()


def test_a_parameter_without_gradient_stays_as_it_is():
    layer = nn.Linear(2, 2)
    optimizer = adam_variants.adam_uncorrected(layer, **KEYS, eps=1e-8, weight_decay=0.5)
    layer.weight.grad = layer.weight.new_ones(2, 2)
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    optimizer.step()
    assert (layer.weight != before[0]).all()
    assert (layer.bias == before[1]).all()
