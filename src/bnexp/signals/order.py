"""In which order does a network compute with its parameters?"""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bnexp.nn.initialize import named_layers
from bnexp.signals.untouched import untouched


@torch.no_grad()
def parameter_order(model: nn.Module, inputs: Tensor) -> list[nn.Parameter]:
    """Return the trainable parameters in the order in which their modules are first called with ``inputs`` (N, …)."""
    order: dict[nn.Parameter, None] = {}

    def note(module: nn.Module, _: tuple[Tensor, ...]) -> None:
        order.update(dict.fromkeys(parameter for parameter in own_parameters(module) if parameter.requires_grad))

    with untouched(model), ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(note).remove)
        model(inputs)
    return list(order)


def layer_parameters(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return the trainable parameters of each convolution and linear layer by its name; layers without any are out."""
    found = {name: [own for own in own_parameters(layer) if own.requires_grad] for name, layer in named_layers(model)}
    return {name: parameters for name, parameters in found.items() if parameters}


def own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of ``module`` and of its parametrizations, without those of its submodules."""
    own = list(module.parameters(recurse=False))
    if parametrize.is_parametrized(module):
        assert isinstance(module.parametrizations, nn.ModuleDict)
        own += module.parametrizations.parameters()
    return own
