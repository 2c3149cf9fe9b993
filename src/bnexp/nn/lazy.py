"""Parameters whose size the first input decides (``torch.nn.LazyLinear`` and its kin)."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bnexp.errors import ConfigError


@torch.no_grad()
def materialize_(model: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Give every lazy parameter its size and its first values, by one pass of two black examples.

    The model is in evaluation mode meanwhile, so no running statistics move.

    Args:
        model: any network that takes (N, *input_shape).
        input_shape: that of an example.

    Raises:
        ConfigError: where a parameter has no size even then.
    """
    if not _lazy(model):
        return
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    model(torch.zeros(2, *input_shape))
    for module, mode in modes:
        module.training = mode
    if unsized := _lazy(model):
        raise ConfigError(
            f"the model's {', '.join(unsized)} have no size, because its forward pass does not reach them; "
            "take them out, or give their sizes"
        )


def _lazy(model: nn.Module) -> list[str]:
    return [name for name, tensor in chain(model.named_parameters(), model.named_buffers()) if is_lazy(tensor)]
