"""Each rule has a network that makes it speak, and one on which it must be silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.signals.nets import batch, deep, inspected, mlp
from torch import nn

from bnexp.nn.initializers import he_normal_
from bnexp.nn.losses import cross_entropy
from bnexp.signals import diagnosis
from bnexp.signals.diagnosis import Rule, diagnose
from bnexp.signals.inspection import Inspection, inspect

small = partial(inspected, num_features=128)


def healthy() -> Inspection:
    """He's init on ten wide layers."""
    return inspected(deep(2, depth=10))


def changed(change: Callable[[nn.Sequential], object], **kwargs: object) -> Inspection:
    net = deep(2, depth=4, width=128, **kwargs)
    with torch.no_grad():
        change(net)
    return small(net)


def loose_weights(factor: float) -> Inspection:
    """Weights that are ``factor`` times what He's formula says."""
    net = deep(2 * factor**2, depth=2, width=128)
    inputs, labels = batch(128)
    he = partial(he_normal_, negative_slope=None)
    return inspect(net, inputs, labels, cross_entropy, init=he, activation=nn.ReLU(), is_normalized=False)


def with_singular_value(largest: float) -> Inspection:
    """A linear layer whose Jacobian has this singular value ten times."""
    net = mlp(10, 10)
    with torch.no_grad():
        net[0].weight.copy_(largest * torch.eye(10))
    return inspected(net, 10)


def constant(value: float, function: Callable[[], nn.Module] = nn.ReLU) -> Inspection:
    """A network whose weights all have one value."""
    return changed(lambda net: [net[i].weight.fill_(value) for i in range(0, 10, 2)], function=function)


SPEAKING: dict[str, tuple[Callable[[], Inspection], str]] = {
    "overflow": (
        lambda: small(deep(1e12, depth=10, width=128)),
        "the signal overflows in layer",
    ),
    "shrinking_variance": (
        lambda: inspected(deep(1, depth=10)),
        "variance shrinks by 0.49 a layer, 2e-03 over 10 layers",
    ),
    "growing_variance": (lambda: inspected(deep(6, depth=6)), "variance grows by 2.9 a layer, 2e+02 over 6 layers"),
    "vanishing_gradient": (
        lambda: small(deep(0.5, depth=12, width=128, function=nn.Sigmoid)),
        "gradients of layer 1 (0) are",
    ),
    "exploding_gradient": (
        lambda: changed(lambda net: [net[i].weight.mul_(30) for i in (2, 4, 6, 8)], function=nn.Tanh),
        "gradients of layer",
    ),
    "fading_backward_signal": (lambda: inspected(deep(1, depth=24)), "backward signals of layer 1 (0) are"),
    "growing_backward_signal": (lambda: inspected(deep(8, depth=14)), "backward signals of layer 1 (0) are"),
    "insensitive_output": (
        lambda: with_singular_value(5e-4),
        "the logits hardly depend on the input: a change of length 1 moves them by 5e-04 at most",
    ),
    "oversensitive_output": (
        lambda: with_singular_value(300.0),
        "a small change of the input can move the logits 300 times as far",
    ),
    "blocked_gradient": (
        lambda: changed(lambda net: net[8].weight.zero_()),
        "no gradient reaches layer 1 (0) and 3 more: the first step does not change their weights",
    ),
    "dead_units": (
        lambda: changed(lambda net: net[2].bias[:64].fill_(-1000)),
        "13 % of the hidden units are dead, zero for all 256 examples (50 % of layer 2 (2)): they get no gradient",
    ),
    "saturation": (
        lambda: changed(lambda net: net[0].weight.mul_(10), function=nn.Tanh),
        "88 % of the values of layer 1 (0) are saturated, where Tanh is flat",
    ),
    "high_initial_loss": (lambda: changed(lambda net: net[8].weight.mul_(20)), "the initial loss is"),
    "equal_units": (
        lambda: changed(lambda net: [net[i].weight.fill_(0.01) for i in (0, 2, 4, 6)]),
        # Behind the last of them, the output layer's random weights tell the units apart.
        "the 128 units of layer 1 (0) have the same weights and gradients (and in 2 more): they stay equal",
    ),
    "unexpected_weights": (lambda: loose_weights(1.5), "the weights of layer 1 (0) have a standard deviation of 0.18"),
}

SILENT: dict[str, Callable[[], Inspection]] = {
    "shrinking_variance": lambda: inspected(deep(1, depth=6)),  # a factor of 32 in all
    "growing_variance": lambda: inspected(deep(3, depth=8)),  # 1.5^7 = 17
    "vanishing_gradient": lambda: inspected(deep(1, depth=24)),  # the backward signal alone
    "fading_backward_signal": lambda: inspected(deep(1, depth=12)),
    "growing_backward_signal": lambda: inspected(deep(4, depth=8)),
    "exploding_gradient": lambda: inspected(deep(8, depth=14)),
    "insensitive_output": lambda: with_singular_value(2e-3),
    "oversensitive_output": lambda: with_singular_value(50.0),
    "dead_units": lambda: changed(lambda net: net[2].bias[:32].fill_(-1000)),  # 6 %
    "saturation": lambda: changed(lambda net: net[0].weight.mul_(10)),  # a ReLU has no flat tails
    "high_initial_loss": lambda: changed(lambda net: net[8].weight.zero_()),
    "blocked_gradient": lambda: small(deep(0.02, depth=10, width=128)),  # tiny is not zero
    "equal_units": lambda: changed(lambda net: net[4].weight.fill_(0.01)),  # the next layer tells them apart
    "unexpected_weights": lambda: loose_weights(1.0),
}

OTHERWISE_SILENT: list[tuple[str, Callable[[], Inspection]]] = [
    ("insensitive_output", lambda: constant(0.0)),  # nothing arrives, and nothing has faded
    ("dead_units", lambda: constant(0.0, nn.Tanh)),  # its slope at 0 is 1
    ("equal_units", lambda: changed(lambda net: [net[4].weight.zero_(), net[8].weight.zero_()])),
]
"""As above, for a second reason. In the last network, the output layer's first step tells the units apart."""

RULES: dict[str, Rule] = {rule.__name__: rule for rule in (*diagnosis.SIGNAL_RULES, *diagnosis.OTHER_RULES)}


def test_every_rule_is_tested() -> None:
    assert RULES.keys() == SPEAKING.keys()
    assert RULES.keys() - SILENT.keys() == {"overflow"}


@pytest.mark.parametrize("name", SPEAKING)
def test_a_rule_speaks_of_a_network_made_for_it(name: str) -> None:
    make, beginning = SPEAKING[name]
    sentence = RULES[name](make())
    assert sentence is not None
    assert sentence.startswith(beginning)


@pytest.mark.parametrize(("name", "make"), [*SILENT.items(), *OTHERWISE_SILENT])
def test_a_rule_is_silent_about_a_network_just_inside_its_threshold(name: str, make: Callable[[], Inspection]) -> None:
    assert RULES[name](make()) is None


def test_of_weights_that_are_all_zero_it_is_told_that_units_stay_equal_and_not_that_a_signal_fades() -> None:
    told = diagnose(constant(0.0))
    assert [line.split(" ")[0] for line in told] == ["no", "100", "the"]
    assert told[-1] == (
        "the 128 units of layer 1 (0) have the same weights and gradients (and in 3 more): they stay equal; "
        "use a random init"
    )


def test_five_layers_of_sigmoids_are_told_that_gradients_vanish() -> None:
    told = diagnose(small(deep(1, depth=5, width=128, function=nn.Sigmoid)))
    assert told[0].startswith("gradients of layer 1 (0) are ")
    assert told[0].endswith("of layer 6's: try norm=batch")


def test_nothing_is_said_of_a_healthy_network() -> None:
    assert diagnose(healthy()) == []


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (
            lambda: inspected(deep(1, depth=10)),
            "the weights' variance is 1/fan_in (Xavier), and ReLU needs 2/fan_in; try init=he or norm=batch",
        ),
        (
            lambda: inspected(deep(1 / 3, depth=10)),
            "the weights' variance is 0.33/fan_in (PyTorch's default), and ReLU needs 2/fan_in; try init=he or",
        ),
        (lambda: small(deep(0.1, depth=12, width=128, function=nn.Tanh)), "and Tanh needs 1/fan_in; try init=xavier"),
        (lambda: small(deep(0.5, depth=12, width=128, function=nn.Sigmoid)), ": try norm=batch"),
        (lambda: changed(lambda net: [net[i].weight.fill_(1.0) for i in (0, 2, 4, 6)]), "do not vary; try init=he"),
        (lambda: replace(constant(0.05), is_normalized=True), "the weights do not vary; try init=he"),
        (lambda: constant(0.2, nn.Sigmoid), "the weights do not vary; try init=xavier"),
        (
            lambda: replace(inspected(deep(1, depth=10)), is_normalized=True),
            "a norm is there already; try shortcuts (model=resnet) or fewer layers",
        ),
    ],
)
def test_the_first_sentence_about_signals_says_what_may_help(make: Callable[[], Inspection], advice: str) -> None:
    first, *others = diagnose(make())
    assert advice in first
    assert not any("try init" in sentence for sentence in others)


@pytest.mark.parametrize("singular_value", [9.4e-4, 9.5e-4, 9.6e-4, 1e-3, 1.04e-3, 100.4, 100.5, 100.6])
def test_a_rule_goes_by_the_number_in_its_sentence(singular_value: float) -> None:
    inspection = replace(with_singular_value(1.0), jacobian_singular_values=(singular_value,))
    weak, strong = diagnosis.insensitive_output(inspection), diagnosis.oversensitive_output(inspection)
    assert (weak is not None) == (float(f"{singular_value:.0e}") < 0.001)
    assert (strong is not None) == (float(f"{singular_value:.0f}") > 100)
    assert weak is None or "by 1e-03" not in weak
    assert strong is None or " 100 times" not in strong


@pytest.mark.parametrize("fraction", [0.1, 0.104, 0.1049, 0.106, 0.11])
def test_a_share_of_dead_units_is_told_where_it_is_written_above_the_threshold(fraction: float) -> None:
    inspection = small(deep(2, depth=2, width=128))
    layers = tuple(replace(layer, dead_fraction=fraction) for layer in inspection.layers)
    told = diagnosis.dead_units(replace(inspection, layers=layers))
    assert (told is not None) == (round(100 * fraction) > 10)
    assert told is None or not told.startswith("10 %")
