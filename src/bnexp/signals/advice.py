"""What may help a network whose signals shrink or grow: the weights' variance against what the activation needs."""

from __future__ import annotations

from statistics import median

from bnexp.signals.inspection import Inspection

NEEDED = {"ReLU": (2.0, "he"), "LeakyReLU": (2.0, "he"), "Tanh": (1.0, "xavier")}
"""Variance of the weights, times fan_in, that keeps a signal's variance behind this function, and an init that has it.

ReLU: He et al. 2015, equation 10 (a leaky ReLU of small slope needs about the same); tanh, near linear around 0: Glorot
& Bengio 2010, equation 10.
"""

CONSTANT = 1e-12
"""Variance of the weights, times fan_in, below which they are all equal: what rounding leaves under weight norm."""

KNOWN = {"PyTorch's default": 1 / 3, "Xavier": 1.0, "He": 2.0}
"""Variances of well-known inits, times fan_in; Xavier's where fan_in and fan_out are equal."""


def advice(inspection: Inspection) -> str:
    """Say what the weights have, what the activation function needs, and what to try."""
    hidden = inspection.hidden
    function = hidden[0].function if hidden else ""
    needed, init = NEEDED.get(function, (0.0, "xavier"))
    found = median([layer.weight_std**2 * layer.fan_in for layer in hidden] or [1.0])
    if found < CONSTANT:
        return f"the weights do not vary; try init={init}"
    if inspection.is_normalized:
        return "a norm is there already; try shortcuts (model=resnet) or fewer layers"
    if function not in NEEDED:
        return "try norm=batch"
    if abs(found / needed - 1) < 0.2:
        padding = ", zero padding on small maps takes some of it" if len(hidden[0].shape) > 2 else ""
        return f"the weights have the variance that {function} needs, {needed:.0f}/fan_in{padding}; try norm=batch"
    name = next((f" ({name})" for name, usual in KNOWN.items() if abs(found / usual - 1) < 0.1), "")
    return (
        f"the weights' variance is {found:.2g}/fan_in{name}, and {function} needs {needed:.0f}/fan_in; "
        f"try init={init} or norm=batch"
    )
