"""How much of a signal's power an activation lets through, and the gain that makes up for it."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

Nonlinearity = Literal["linear", "sigmoid", "tanh", "relu", "selu"]

# The names under which torch.nn.init.calculate_gain knows them.
_TABLE: dict[type[nn.Module], Nonlinearity] = {
    nn.Identity: "linear",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.SELU: "selu",
}


def gain_of(activation: nn.Module) -> float:
    """Return the recommended gain of ``activation``.

    Formula: PyTorch's table (ReLU √2, leaky ReLU √(2/(1+a²)), tanh 5/3, SELU 3/4, sigmoid 1), for any other
    1/√E[f(z)²] with z ~ N(0, 1), the rule that gives the first two (GELU 1.534, SiLU 1.677, ELU 1.245).
    Source: ``torch.nn.init.calculate_gain``; He et al. 2015, section 2.2.
    """
    if isinstance(activation, nn.LeakyReLU):
        return nn.init.calculate_gain("leaky_relu", activation.negative_slope)
    if type(activation) in _TABLE:
        return nn.init.calculate_gain(_TABLE[type(activation)])
    power, _ = gaussian_powers(activation)
    return 1 / math.sqrt(power)


def gaussian_powers(activation: nn.Module) -> tuple[float, float]:
    """Return (E[f(z)²], E[f′(z)²]) for z ~ N(0, 1), by the midpoint rule on [−8, 8].

    No midpoint lies on 0, where ReLU and its kin have their kink.
    """
    num_cells = 16_000
    width = 16 / num_cells
    z = ((torch.arange(num_cells, dtype=torch.float64) + 0.5) * width - 8).float().requires_grad_()
    with torch.enable_grad():
        values = activation(z)
        (slopes,) = torch.autograd.grad(values.sum(), z)
    points = z.detach().double()
    weights = torch.exp(-points.square() / 2) * width / math.sqrt(2 * math.pi)
    moments = [float((weights * f.detach().double().square()).sum()) for f in (values, slopes)]
    return moments[0], moments[1]
