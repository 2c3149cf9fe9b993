"""The standard deviation that an initializer promises to a layer's weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod, sqrt
from typing import Any, NamedTuple

from torch import nn
from torch.nn.utils import parametrize

from bnexp.nn import initializers, keras_initializers
from bnexp.nn.gain import gain_of
from bnexp.nn.initialize import Layer
from bnexp.nn.keras_initializers import TRUNCATED_STD
from bnexp.nn.weight_norms import CenteredWeight, SpectralNorm


class Fans(NamedTuple):
    """Inputs and outputs of a weight.

    Attributes:
        fan_in: weights of a unit: in / groups × kernel size.
        fan_out: out × kernel size.
    """

    fan_in: int
    fan_out: int


class _Case(NamedTuple):
    """A weight and what its initializer knows: the shape of a group's weight, the activation, the keyword values."""

    shape: tuple[int, ...]
    fans: Fans
    activation: nn.Module
    values: Mapping[str, Any]


def fans(layer: Layer) -> Fans:
    """Count the inputs and outputs of ``layer`` as PyTorch does."""
    weight = layer.weight
    return Fans(weight[0].numel(), weight[:, 0].numel())


def theoretical_std(init: Callable[..., Any], layer: Layer, activation: nn.Module) -> float | None:
    """Return the standard deviation of the layer's weight, as the formula of ``init`` has it.

    None where there is no formula: for an initializer that looks at the data or at the network as a whole, one that
    bnexp does not know, and under a norm that changes the weight that it is given (spectral, centred weight).

    Args:
        init: what ``configs/init/*.yaml`` names: a function of :mod:`bnexp.nn`, or a partial of one.
        layer: a convolution or linear layer.
        activation: the network's nonlinearity, which decides gains.
    """
    function, values = (init.func, init.keywords) if isinstance(init, partial) else (init, {})
    if function not in _FORMULAS or _is_changed(layer):
        return None
    groups = getattr(layer, "groups", 1) if getattr(function, "per_group", False) else 1
    out, *rest = layer.weight.shape
    return _FORMULAS[function](_Case((out // groups, *rest), fans(layer), activation, values))


def _is_changed(layer: Layer) -> bool:
    if not parametrize.is_parametrized(layer, "weight"):
        return False
    return any(isinstance(module, CenteredWeight | SpectralNorm) for module in layer.modules())


def _xavier(case: _Case) -> float:
    return float(case.values["gain"]) * sqrt(2 / sum(case.fans))


def _he(case: _Case) -> float:
    slope = initializers.slope_of(case.values["negative_slope"], case.activation)
    return sqrt(2 / ((1 + slope**2) * case.fans.fan_in))


def _variance_scaling(case: _Case) -> float:
    fan_in, fan_out = case.fans
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[case.values["mode"]]
    return sqrt(case.values["scale"] / max(1, fan))


def _identity(case: _Case) -> float:
    share = min(case.shape[:2]) / prod(case.shape)  # of ones
    return sqrt(share - share**2)


def _orthogonal(case: _Case) -> float:
    out, *rest = case.shape
    return _gain(case) / sqrt(max(out, prod(rest)))


def _delta_orthogonal(case: _Case) -> float:
    out, num_inputs, *kernel = case.shape
    if not kernel:
        return _orthogonal(case)
    if num_inputs > out:  # refused, and filled with PyTorch's default
        return _default(case)
    return _gain(case) / sqrt(out * prod(kernel))


def _gain(case: _Case) -> float:
    gain = case.values["gain"]
    return gain_of(case.activation) if gain is None else float(gain)


def _default(case: _Case) -> float:
    return 1 / sqrt(3 * case.fans.fan_in)


def _fan_in(scale: float) -> Callable[[_Case], float]:
    return lambda case: sqrt(scale / case.fans.fan_in)


_FORMULAS: dict[Callable[..., Any], Callable[[_Case], float]] = {
    initializers.default_: _default,
    initializers.xavier_normal_: _xavier,
    initializers.xavier_uniform_: _xavier,
    initializers.he_normal_: _he,
    initializers.he_uniform_: _he,
    initializers.lecun_normal_: _fan_in(1),
    initializers.lecun_uniform_: _fan_in(1),
    initializers.identity_: _identity,
    initializers.orthogonal_: _orthogonal,
    initializers.delta_orthogonal_: _delta_orthogonal,
    keras_initializers.random_normal_: lambda case: float(case.values["std"]),
    keras_initializers.random_uniform_: lambda case: float(case.values["high"] - case.values["low"]) / sqrt(12),
    keras_initializers.truncated_normal_: lambda case: float(case.values["std"]) * TRUNCATED_STD,
    keras_initializers.zeros_: lambda _: 0.0,
    keras_initializers.ones_: lambda _: 0.0,
    keras_initializers.constant_: lambda _: 0.0,
    keras_initializers.variance_scaling_: _variance_scaling,
    keras_initializers.glorot_normal_: lambda case: sqrt(2 / sum(case.fans)),
    keras_initializers.glorot_uniform_: lambda case: sqrt(2 / sum(case.fans)),
    keras_initializers.keras_he_normal_: _fan_in(2),
    keras_initializers.keras_lecun_normal_: _fan_in(1),
}
