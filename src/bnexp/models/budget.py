"""How large a network of a given depth must be to have a given number of parameters.

Weights and biases of convolutions and linear layers count; a norm's parameters do not, so that arms which differ in
the norm are of the same size.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

from bnexp.errors import ConfigError


def num_parameters(features: Sequence[int], kernel_area: int = 1) -> int:
    """Return Σᵢ (a · cᵢ₋₁ + 1) · cᵢ: weights and biases of layers from c₀ to c₁ to c₂ … features, kernels of area a."""
    return sum((kernel_area * num_inputs + 1) * num_outputs for num_inputs, num_outputs in pairwise(features))


def choose_size(size: int | None, parameters: int | None, count: Callable[[int], int]) -> int:
    """Return ``size`` (what ``model.width`` asks for), or where that is None the one nearest to ``parameters``.

    ``count(size)`` is the number of parameters of a network of that size, at least ``size``, and grows with it.

    Raises:
        ConfigError: where both or neither are given, or where even size 1 has more parameters.
    """
    if size is not None and parameters is None:
        return size
    if size is None and parameters is not None:
        return _nearest(parameters, count)
    raise ConfigError(
        "model.width=null with model.parameters=null: set one of the two"
        if parameters is None
        else f"model.parameters={parameters} decides the width: add model.width=null, or take model.parameters out"
    )


def _nearest(parameters: int, count: Callable[[int], int]) -> int:
    if parameters < count(1):
        raise ConfigError(
            f"model.parameters={parameters} is less than the {count(1)} of the narrowest network of this depth; "
            f"use at least {count(1)}, or a lower model.depth"
        )
    above = bisect_left(range(parameters + 1), parameters, lo=1, key=count)
    return min(max(1, above - 1), above, key=lambda size: abs(count(size) - parameters))
