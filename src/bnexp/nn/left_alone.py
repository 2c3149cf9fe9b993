"""Which parameters an initializer left as their constructor made them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrize import ParametrizationList

from bnexp.nn.norm import is_norm

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class Before(NamedTuple):
    """A parameter before an initializer came: itself, the count of writes to it, and its values."""

    parameter: Tensor
    version: int
    values: Tensor


def remember(model: nn.Module) -> list[Before]:
    """Note how the parameters are, for :func:`left_alone` to look at later."""
    return [Before(parameter, parameter._version, parameter.detach().clone()) for parameter in model.parameters()]


def left_alone(model: nn.Module, before: list[Before]) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the parameters that nobody has written to since :func:`remember`.

    Those of norms and activations, which start as their choices say, and biases (of at most one dimension) are left
    out. Of a parametrized weight the largest of its parts counts, under the weight's own name.
    """
    # The count misses what is written through `.data`; the values miss what is written again as it was.
    untouched = {id(old.parameter) for old in before if old.parameter._version == old.version and _is_still(old)}
    found: dict[str, tuple[int, ...]] = {}
    for name, parameter in _counted(model):
        if id(parameter) in untouched:
            shape = tuple(parameter.shape)
            found[name] = max(found.get(name, ()), shape, key=lambda one: torch.Size(one).numel() if one else 0)
    return found


def _is_still(old: Before) -> bool:
    return torch.equal(old.parameter, old.values) or torch.allclose(
        old.parameter, old.values, rtol=0, atol=0, equal_nan=True
    )


def _counted(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for prefix, module in model.named_modules():
        if isinstance(module, (*NORMS, nn.PReLU)) or is_norm(module) or getattr(module, "is_activation", False):
            continue
        for leaf, parameter in module.named_parameters(recurse=False):
            path = f"{prefix}.{leaf}" if prefix else leaf
            name = prefix.replace("parametrizations.", "") if isinstance(module, ParametrizationList) else path
            is_bias = parameter.dim() <= 1 and "bias" in name.rpartition(".")[2].split("_")
            if not is_bias:
                yield name, parameter
