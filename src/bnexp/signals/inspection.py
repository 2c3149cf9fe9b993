"""A network before its first step, layer by layer: weights against theory, signals forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

import torch
from torch import Tensor, nn

from bnexp.nn.losses import Loss
from bnexp.signals.forward import dead_fraction, saturated_fraction, zero_fraction
from bnexp.signals.jacobian import singular_values
from bnexp.signals.moments import length, mean_and_std
from bnexp.signals.probe import LayerSignals, probe
from bnexp.signals.theory import fans, theoretical_std

JACOBIANS = 8
"""Examples whose Jacobian is computed."""

SINGULAR_VALUES = 5
"""Singular values that are reported, from the largest."""


@dataclass(frozen=True)
class LayerReport:
    """One convolution or linear layer with its activation function. A signal that overflowed leaves NaN or infinity.

    Attributes:
        name: where the network has it.
        shape: of the weight: (out, in / groups, *kernel).
        fan_in, fan_out: in / groups × kernel size; out × kernel size.
        function: class of the activation function behind it; empty for an output layer.
        weight_std: standard deviation of the weight that the layer computes with.
        weight_std_theory: what the init's formula says, or None where it has none.
        preactivation_mean, preactivation_std: of what the activation function receives, over the batch, all units and
            positions.
        activation_mean, activation_std: of what it returns.
        variance_gain: preactivation_std² over that of the layer before in the order of computation; None for the first
            layer, and where the layer before has none.
        zero_fraction: of what the activation function returns, the values that are exactly zero.
        dead_fraction: units that are zero for the whole batch and at all positions.
        saturated_fraction: values in the flat tails of tanh or sigmoid; 0 for any other function.
        gradient_norm: length of the loss's gradient with respect to the weight.
        gradient_ratio: gradient_norm over the last layer's; None where that is zero.
        preactivation_gradient_norm: length of the loss's gradient with respect to the pre-activations, the signal that
            travels backward. In a ReLU network without biases it may vanish while gradient_norm is the same everywhere.
        preactivation_gradient_ratio: that over the last layer's; None where that is zero.
        units_alike: whether all units have the same weights and the same gradient, other than zero: they stay equal.
    """

    name: str
    shape: tuple[int, ...]
    fan_in: int
    fan_out: int
    function: str
    weight_std: float
    weight_std_theory: float | None
    preactivation_mean: float
    preactivation_std: float
    activation_mean: float
    activation_std: float
    variance_gain: float | None
    zero_fraction: float
    dead_fraction: float
    saturated_fraction: float
    gradient_norm: float
    gradient_ratio: float | None
    preactivation_gradient_norm: float
    preactivation_gradient_ratio: float | None
    units_alike: bool


@dataclass(frozen=True)
class Inspection:
    """What is known of a network before its first step.

    Attributes:
        layers: in the order of computation.
        num_examples: size of the probe batch.
        is_normalized: whether a norm holds the scale of its signals.
        initial_loss: of the probe batch, in training mode.
        expected_initial_loss: of logits that are all equal; ln(num_classes) for cross-entropy.
        jacobian_singular_values: the largest ones of ∂logits/∂input, mean over some examples.
    """

    layers: tuple[LayerReport, ...]
    num_examples: int
    is_normalized: bool
    initial_loss: float
    expected_initial_loss: float
    jacobian_singular_values: tuple[float, ...]

    @property
    def hidden(self) -> list[LayerReport]:
        """The layers with an activation function."""
        return [layer for layer in self.layers if layer.function]

    @property
    def dead_fraction(self) -> float:
        """The fraction of all hidden units that are dead."""
        num_units = sum(layer.shape[0] for layer in self.hidden)
        return sum(layer.dead_fraction * layer.shape[0] for layer in self.hidden) / max(1, num_units)

    @property
    def variance_factor(self) -> float | None:
        """The factor by which the variance of pre-activations changes from one hidden layer to the next.

        Formula: (var_last/var_first)^(1/(n − 1)) of the n hidden layers; None for fewer than two, and where one of the
            two variances is zero or not finite
        """
        stds = [layer.preactivation_std for layer in self.hidden]
        if len(stds) < 2 or not all(0 < std < inf for std in (stds[0], stds[-1])):
            return None
        return float((stds[-1] / stds[0]) ** (2 / (len(stds) - 1)))


def inspect(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss: Loss,
    *,
    init: Callable[..., Any] | None,
    activation: nn.Module,
    is_normalized: bool,
) -> Inspection:
    """Measure ``model`` on one batch; it is then as it was.

    Args:
        model: as training starts with it.
        inputs: (N, …), the probe batch.
        targets: labels (N,) or probabilities (N, num_classes).
        loss: the mean over the batch.
        init: the initializer that made its weights; None where something else did, and theory has nothing to say.
        activation: the network's nonlinearity.
        is_normalized: whether a norm holds the scale of its signals, as norms of weights alone do not.
    """
    seen = probe(model, inputs, targets, loss)
    measured = [_measured(layer) for layer in seen.layers]
    stds = [values["preactivation_std"] for values in measured]
    gains = [None, *((std / before) ** 2 if before else None for before, std in pairwise(stds))]
    reports = tuple(
        LayerReport(
            **_anatomy(layer, init, activation),
            **values,
            variance_gain=gain,
            gradient_ratio=_ratio(values, measured[-1], "gradient_norm"),
            preactivation_gradient_ratio=_ratio(values, measured[-1], "preactivation_gradient_norm"),
        )
        for layer, values, gain in zip(seen.layers, measured, gains, strict=True)
    )
    values = singular_values(model, inputs, JACOBIANS)
    return Inspection(
        layers=reports,
        num_examples=len(inputs),
        is_normalized=is_normalized,
        initial_loss=float(seen.loss),
        expected_initial_loss=float(loss(torch.zeros_like(seen.logits), targets)),
        jacobian_singular_values=tuple(values[:SINGULAR_VALUES].tolist()),
    )


def _ratio(values: Mapping[str, float], last: Mapping[str, float], key: str) -> float | None:
    return values[key] / last[key] if last[key] else None


def _anatomy(signals: LayerSignals, init: Callable[..., Any] | None, activation: nn.Module) -> dict[str, Any]:
    fan_in, fan_out = fans(signals.layer)
    return {
        "name": signals.name,
        "shape": tuple(signals.weight.shape),
        "fan_in": fan_in,
        "fan_out": fan_out,
        "function": "" if signals.function is None else type(signals.function).__name__,
        "weight_std_theory": None if init is None else theoretical_std(init, signals.layer, activation),
        "units_alike": _units_alike(signals.weight, signals.weight_gradient),
    }


def _measured(signals: LayerSignals) -> dict[str, Any]:
    activation_mean, activation_std = mean_and_std(signals.activation)
    preactivation_mean, preactivation_std = mean_and_std(signals.preactivation)
    found = {
        "weight_std": mean_and_std(signals.weight)[1],
        "preactivation_mean": preactivation_mean,
        "preactivation_std": preactivation_std,
        "activation_mean": activation_mean,
        "activation_std": activation_std,
        "zero_fraction": zero_fraction(signals.activation),
        "dead_fraction": dead_fraction(signals.activation),
        "saturated_fraction": saturated_fraction(signals.activation, signals.function),
        "gradient_norm": length(signals.weight_gradient),
        "preactivation_gradient_norm": length(signals.preactivation_gradient),
    }
    # One transfer for all of them.
    values = torch.stack([value.to(torch.promote_types(value.dtype, torch.float32)) for value in found.values()])
    return dict(zip(found, values.tolist(), strict=True))


def _units_alike(weight: Tensor, gradient: Tensor) -> bool:
    if len(weight) < 2 or not gradient.any():
        return False
    return all(torch.allclose(rows, rows[:1].expand_as(rows), rtol=1e-3, atol=0) for rows in (weight, gradient))
