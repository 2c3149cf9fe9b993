"""What the formulas promise, against tables worked out by hand and against the weights that each init makes."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from bnexp.config.compose import compose_run
from bnexp.config.folder import choices, config_dir
from bnexp.config.targets import build
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.weight_norms import centered_weight_norm, spectral_norm
from bnexp.signals.theory import fans, theoretical_std

CONV = (64, 32, 3, 3)
"""fan_in 288, fan_out 576."""

BY_HAND = {
    "default": 1 / sqrt(3 * 288),
    "xavier": sqrt(2 / 864),
    "xavier_uniform": sqrt(6 / 864) / sqrt(3),
    "he": sqrt(2 / 288),
    "he_uniform": sqrt(6 / 288) / sqrt(3),
    "lecun": sqrt(1 / 288),
    "lecun_uniform": sqrt(1 / 288),
    "random_normal": 0.05,
    "random_uniform": 0.1 / sqrt(12),
    "truncated_normal": 0.0439812831,
    "zeros": 0.0,
    "ones": 0.0,
    "constant": 0.0,
    "identity": sqrt(32 / 18432 - (32 / 18432) ** 2),  # 32 ones among 64 · 32 · 9 weights
    "orthogonal": sqrt(2) / sqrt(288),
    "delta_orthogonal": sqrt(2) * sqrt(32 / 18432),  # 32 columns of length √2
    "variance_scaling": sqrt(1 / 288),
    "glorot_normal": sqrt(2 / 864),
    "glorot_uniform": sqrt(2 / 864),
    "keras_he_normal": sqrt(2 / 288),
    "keras_lecun_normal": sqrt(1 / 288),
    "lsuv": None,
    "data_dependent": None,
    "dropout_adjusted": None,
    "fixup": None,
}


def layer(shape: tuple[int, ...], groups: int = 1) -> nn.Conv2d | nn.Linear:
    if len(shape) == 2:
        return nn.Linear(shape[1], shape[0])
    return nn.Conv2d(shape[1] * groups, shape[0], shape[2:], groups=groups)


def init_of(choice: str, *words: str):
    return build(compose_run([f"init={choice}", *words]).config["init"], "init")


def test_every_init_is_in_the_table() -> None:
    assert set(choices([config_dir()], "init")) == BY_HAND.keys()


@pytest.mark.parametrize("choice", BY_HAND)
def test_a_formula_gives_what_was_worked_out_by_hand(choice: str) -> None:
    found = theoretical_std(init_of(choice), layer(CONV), nn.ReLU())
    assert found == (None if BY_HAND[choice] is None else pytest.approx(BY_HAND[choice], rel=1e-7))


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), nn.LeakyReLU(0.3)])
@pytest.mark.parametrize("choice", [choice for choice, std in BY_HAND.items() if std is not None])
def test_the_weights_that_an_init_makes_have_that_standard_deviation(choice: str, activation: nn.Module) -> None:
    made = [layer((96, 48, 3, 3)), layer((200, 300)), layer((300, 200)), layer((64, 32, 3, 3), groups=4)]
    init = init_of(choice)
    initialize_(nn.ModuleList(made), init, Context(activation, torch.Generator().manual_seed(0)))
    for one in made:
        found = float(one.weight.detach().double().std(correction=0))
        assert found == pytest.approx(theoretical_std(init, one, activation), rel=0.03, abs=1e-6)


def test_values_that_a_user_set_count() -> None:
    small = layer((10, 40))
    assert theoretical_std(init_of("xavier", "init.gain=3"), small, nn.ReLU()) == pytest.approx(3 * sqrt(2 / 50))
    assert theoretical_std(init_of("he", "init.negative_slope=1"), small, nn.ReLU()) == pytest.approx(sqrt(1 / 40))
    scaled = init_of("variance_scaling", "init.scale=4", "init.mode=fan_out", "init.distribution=uniform")
    assert theoretical_std(scaled, small, nn.ReLU()) == pytest.approx(sqrt(4 / 10))


def test_a_norm_that_changes_the_weight_leaves_no_promise() -> None:
    he = init_of("he")
    expected = pytest.approx(sqrt(2 / 40))
    assert theoretical_std(he, parametrizations.weight_norm(layer((10, 40))), nn.ReLU()) == expected
    assert theoretical_std(he, centered_weight_norm(layer((10, 40))), nn.ReLU()) is None
    assert theoretical_std(he, spectral_norm(layer((10, 40)), n_power_iterations=1, eps=1e-12), nn.ReLU()) is None


def test_an_init_that_bnexp_does_not_know_has_no_formula() -> None:
    assert theoretical_std(lambda weight, context: None, layer((10, 40)), nn.ReLU()) is None


def test_fans_are_channels_times_the_receptive_field() -> None:
    assert fans(layer(CONV)) == (288, 576)
    assert fans(layer((10, 40))) == (40, 10)
    assert fans(layer((32, 1, 3, 3), groups=32)) == (9, 288)
