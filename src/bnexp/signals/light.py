"""What is recorded of each layer at level light: activations and gradients of a probe batch."""

from __future__ import annotations

from torch import Tensor

from bnexp.signals.forward import dead_fraction, zero_fraction
from bnexp.signals.moments import length, mean_and_std
from bnexp.signals.percentiles import PERCENTILES, percentiles
from bnexp.signals.probe import LayerSignals


def light_signals(layer: LayerSignals, unit: int) -> dict[str, Tensor]:
    """Return the light statistics of one layer by name, a number on the device each.

    ``preactivation_…`` is about what the activation function receives, ``activation_…`` about what it returns; in a
    layer without one they are the same. ``unit<i>/…`` are the percentiles of what the function of unit (or channel) i
    receives, over all examples and positions: Ioffe & Szegedy 2015, figure 1(b, c). A smaller layer has no such unit.
    """
    found: dict[str, Tensor] = {}
    for name, values in (("preactivation", layer.preactivation), ("activation", layer.activation)):
        found[f"{name}_mean"], found[f"{name}_std"] = mean_and_std(values)
        found |= _percentiles(f"{name}_", values)
    if unit < layer.preactivation.shape[1]:
        found |= _percentiles(f"unit{unit}/", layer.preactivation[:, unit])
    found["zero_fraction"] = zero_fraction(layer.activation)
    found["dead_fraction"] = dead_fraction(layer.activation)
    found["gradient_norm"] = length(layer.weight_gradient)
    return found


def _percentiles(prefix: str, values: Tensor) -> dict[str, Tensor]:
    return {f"{prefix}p{percent}": value for percent, value in zip(PERCENTILES, percentiles(values), strict=True)}
