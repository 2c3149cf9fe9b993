"""What activation functions let through: zeros, dead units, saturation. Fractions of tensors (N, units, H, W)."""

from __future__ import annotations

from torch import Tensor, nn

TANH_SATURATED = 0.97
"""|tanh| beyond which a value counts as saturated: the slope 1 − tanh² is below 0.06 of its largest."""

SIGMOID_SATURATED = 0.05
"""Distance from 0 or 1 within which a sigmoid counts as saturated: the slope s(1 − s) is below 0.19 of its largest."""


def zero_fraction(activation: Tensor) -> Tensor:
    """Return the fraction of values that are exactly zero; about ½ behind a ReLU."""
    return (activation == 0).float().mean()


def dead_fraction(activation: Tensor) -> Tensor:
    """Return the fraction of units that are zero for every example and at every position; a zero is no dead unit."""
    largest = activation.abs().amax((0, *range(2, activation.ndim)))  # (units,)
    return (largest == 0).float().mean()


def saturated_fraction(activation: Tensor, function: nn.Module | None) -> Tensor:
    """Return the fraction of values in the flat tails of ``function``, which is tanh or sigmoid; 0 for any other.

    Formula: |tanh| > 0.97; sigmoid < 0.05 or > 0.95. The thresholds are a convention.
    """
    if isinstance(function, nn.Tanh):
        return (activation.abs() > TANH_SATURATED).float().mean()
    if isinstance(function, nn.Sigmoid):
        return ((activation - 0.5).abs() > 0.5 - SIGMOID_SATURATED).float().mean()
    return activation.new_zeros(())
