"""Fractions of small tensors counted by hand, and of normal ones against scipy's tails."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import nn

from bnexp.signals.forward import dead_fraction, saturated_fraction, zero_fraction


def test_a_unit_is_dead_where_no_example_and_no_position_has_anything() -> None:
    maps = torch.zeros(3, 4, 2, 2)
    maps[0, 1, 0, 0] = 1.0
    maps[2, 3] = -1.0
    assert dead_fraction(maps).item() == 2 / 4
    assert zero_fraction(maps).item() == pytest.approx(1 - 5 / 48)
    rows = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    assert dead_fraction(rows).item() == pytest.approx(1 / 3)
    assert zero_fraction(rows).item() == pytest.approx(4 / 6)


@pytest.mark.parametrize("std", [0.5, 2.0])
def test_saturation_of_normal_inputs_is_the_mass_of_their_tails(std: float) -> None:
    z = std * torch.randn(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tails = {nn.Tanh(): math.atanh(0.97), nn.Sigmoid(): math.log(0.95 / 0.05)}
    for function, edge in tails.items():
        expected = 2 * stats.norm.sf(edge / std)
        assert saturated_fraction(function(z), function).item() == pytest.approx(expected, abs=0.003)


def test_other_functions_have_no_flat_tails() -> None:
    assert saturated_fraction(torch.full((5,), 100.0), nn.ReLU()).item() == 0
    assert saturated_fraction(torch.full((5,), 100.0), None).item() == 0
