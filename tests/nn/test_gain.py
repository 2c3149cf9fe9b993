import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from bnexp.nn.gain import gain_of, gaussian_powers

FUNCTIONS = {
    nn.GELU: (lambda z: z * stats.norm.cdf(z), lambda z: stats.norm.cdf(z) + z * stats.norm.pdf(z)),
    nn.Tanh: (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    nn.ELU: (lambda z: z if z > 0 else math.expm1(z), lambda z: 1 if z > 0 else math.exp(z)),
    nn.SiLU: (
        lambda z: z / (1 + math.exp(-z)),
        lambda z: (1 + math.exp(-z) + z * math.exp(-z)) / (1 + math.exp(-z)) ** 2,
    ),
    nn.ReLU: (lambda z: max(z, 0), lambda z: float(z > 0)),
}


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_powers_agree_with_adaptive_quadrature(activation):
    expected = [
        integrate.quad(lambda z, f=f: f(z) ** 2 * stats.norm.pdf(z), -12, 12, points=[0])[0]
        for f in FUNCTIONS[activation]
    ]
    assert gaussian_powers(activation()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("activation", "power", "slope_power"),
    [
        (nn.Identity, 1, 1),
        (nn.ReLU, 0.5, 0.5),
        (nn.GELU, 0.425, None),  # the paper's 0.444 for the slope is 0.456
        (nn.Tanh, 0.394, None),  # the paper's 0.216 for the slope is 0.464
        (nn.ELU, 0.645, 0.671),
    ],
)
def test_powers_are_those_of_hendrycks_and_gimpel_table_1(activation, power, slope_power):
    found = gaussian_powers(activation())
    assert found[0] == pytest.approx(power, abs=5e-4)
    if slope_power:
        assert found[1] == pytest.approx(slope_power, abs=5e-3)


def test_gains_are_pytorchs_where_it_has_one():
    assert gain_of(nn.ReLU()) == math.sqrt(2)
    assert gain_of(nn.LeakyReLU(0.2)) == pytest.approx(math.sqrt(2 / 1.04))
    assert gain_of(nn.Tanh()) == pytest.approx(5 / 3)
    assert gain_of(nn.SELU()) == 0.75
    assert gain_of(nn.Sigmoid()) == gain_of(nn.Identity()) == 1


@pytest.mark.parametrize("activation", [nn.GELU, nn.SiLU, nn.ELU, nn.PReLU, nn.Hardtanh])
def test_other_gains_give_the_activations_output_unit_power(activation):
    z = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    power = activation()(z).detach().square().mean().sqrt()
    assert gain_of(activation()) * power == pytest.approx(1, abs=3e-3)
