"""Apply an initializer to a network: which tensors it touches, and what happens to the rest.

An initializer is one of two kinds of function:

* ``fill_(weight, context, *, …)`` fills one weight tensor in place; it is applied to every convolution and linear
  layer, the output layer included, and the biases become zero;
* a function marked :func:`whole_model`, ``init_(model, context, *, …)``, which needs the biases, the structure or the
  data, and does everything itself.

Parameters of normalizers keep the values that they are made with (weight 1, bias 0; Ioffe & Szegedy 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bnexp.errors import ConfigError

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Context:
    """What an initializer may know beside the tensor that it fills.

    Attributes:
        activation: the network's nonlinearity, which decides gains.
        generator: the source of all randomness, on the CPU as the model is.
        inputs: a batch of standardized training inputs (N, …), for the data-dependent initializers.
    """

    activation: nn.Module
    generator: torch.Generator
    inputs: Tensor | None = None


class UnservedLayerError(Exception):
    """Raised by a fill function for a shape on which it is not defined; the message says why."""


def whole_model(function: Function) -> Function:
    """Mark ``function(model, context, *, …) -> notes`` as one that initializes a network as a whole."""
    without_gradients = torch.no_grad()(function)
    without_gradients.whole_model = True  # type: ignore[attr-defined]
    return without_gradients


def per_group(function: Function) -> Function:
    """Mark a fill function that sees a grouped convolution as what it is: ``groups`` convolutions side by side."""
    function.per_group = True  # type: ignore[attr-defined]
    return function


def as_constructed(function: Function) -> Function:
    """Mark an initializer that wants the rest of a network to be as its constructors make it."""
    function.leaves_the_rest = True  # type: ignore[attr-defined]
    return function


def leaves_the_rest(init: Callable[..., Any]) -> bool:
    """Whether ``init`` wants the parameters that it leaves alone to be as their constructors made them."""
    return getattr(_function(init), "leaves_the_rest", False) is True


@torch.no_grad()
def initialize_(model: nn.Module, init: Callable[..., Any], context: Context) -> tuple[str, ...]:
    """Initialize ``model`` in place with ``init`` and return a line for each layer that got something else.

    Raises:
        ConfigError: where the init cannot work with this model or its norm.
    """
    if getattr(_function(init), "whole_model", False):
        return tuple(init(model, context))
    return fill_layers_(model, init, context)


def fill_layers_(model: nn.Module, fill: Callable[..., None], context: Context) -> tuple[str, ...]:
    """Fill every layer's weight and zero its bias; a layer that ``fill`` refuses gets PyTorch's default weight.

    Tensors are filled in the order of ``model.modules()``, each in row-major order whatever its memory format is, so
    the same generator gives the same numbers.
    """
    notes = []
    for name, layer in named_layers(model):
        weight = torch.empty(layer.weight.shape, dtype=layer.weight.dtype)
        groups = getattr(layer, "groups", 1) if getattr(_function(fill), "per_group", False) else 1
        try:
            for part in weight.chunk(groups):
                fill(part, context)
        except UnservedLayerError as reason:
            default_weight_(weight, context.generator)
            notes.append(f"{name}: {reason}; its weight is PyTorch's default instead")
        set_weight_(layer, weight)
        if layer.bias is not None:
            layer.bias.zero_()
    return tuple(notes)


def named_layers(model: nn.Module) -> list[tuple[str, Layer]]:
    """Return the convolutions and linear layers of ``model`` with their names, in the order of registration."""
    return [(name, module) for name, module in model.named_modules() if isinstance(module, LAYERS)]


def default_weight_(weight: Tensor, generator: torch.Generator) -> None:
    """Fill ``weight`` as ``torch.nn.Linear`` and ``torch.nn.Conv2d`` do: U(±1/√fan_in)."""
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)


def set_weight_(layer: Layer, weight: Tensor) -> None:
    """Make ``weight`` the one that ``layer`` computes with, also where a norm reparametrizes it.

    Weight norm then gives exactly this weight, spectral norm ``weight`` / σ_max, centred weight norm ``weight`` less
    each unit's mean.

    Raises:
        ConfigError: where the norm divides by zero, as weight norm does for a filter of zeros.
    """
    if not parametrize.is_parametrized(layer, "weight"):
        layer.weight.copy_(weight)
        return
    layer.weight = weight.clone()  # PyTorch sends it through right_inverse, which may keep this very tensor
    if not layer.weight.isfinite().all():
        raise ConfigError(
            f"this init gives a layer of shape {tuple(weight.shape)} filters of norm 0, by which this norm divides; "
            "use another init, or norm=none or norm=batch"
        )


def _function(init: Callable[..., Any]) -> Callable[..., Any]:
    return init.func if isinstance(init, partial) else init
