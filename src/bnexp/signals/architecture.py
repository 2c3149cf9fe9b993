"""What a network is made of: layers, output shapes, parameters, multiply-adds. Counted on shapes, without data."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bnexp.nn.initialize import LAYERS
from bnexp.nn.noise import Dropout


@dataclass(frozen=True)
class LayerSummary:
    """One module of a network and its size. All counts are of single numbers.

    Attributes:
        name: where the network has it (``hidden.0.layer``); empty for the network itself.
        kind: the name of its class, that of the layer also where a norm reparametrizes it.
        output_shape: without the batch; empty for a module that the network does not call.
        trainable: parameters that training changes. A reparametrized layer has those that there really are: g and v of
            weight norm, not the weight made of them.
        frozen: parameters that training leaves alone.
        buffers: running statistics and the like. ``num_batches_tracked`` is not counted: it is a counter, one number
            whatever the size of the layer.
        multiply_adds: for one example at test time. A convolution has k² · C_in / groups · C_out · H · W, a linear
            layer in · out; biases, norms, activations, pooling and what a norm does to a weight count 0.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    trainable: int
    frozen: int
    buffers: int
    multiply_adds: int


def summarize(model: nn.Module, input_shape: tuple[int, ...]) -> list[LayerSummary]:
    """List what ``model`` computes with, in the order of computation; ``model`` stays as it is.

    A row is a module without submodules, or with parameters or buffers of its own beside them. What does nothing is
    left out: ``Identity``, and dropout with p = 0. A tensor that several modules share counts once, for the first.

    Args:
        model: any network of modules that return one tensor.
        input_shape: of one example.
    """
    layers = _layers(model)
    calls = _calls(model, input_shape)
    seen: set[Tensor] = set()
    rows = []
    for name in [*calls, *(name for name in layers if name not in calls)]:
        own = [tensor for tensor in _own_tensors(layers[name]) if tensor not in seen]
        seen.update(own)
        parameters = [tensor for tensor in own if isinstance(tensor, nn.Parameter)]
        statistics = [tensor for tensor in own if not isinstance(tensor, nn.Parameter) and tensor.is_floating_point()]
        shape, multiply_adds = calls.get(name, ((), 0))
        rows.append(
            LayerSummary(
                name=name,
                kind=parametrize.type_before_parametrizations(layers[name]).__name__,
                output_shape=shape,
                trainable=_size([tensor for tensor in parameters if tensor.requires_grad]),
                frozen=_size([tensor for tensor in parameters if not tensor.requires_grad]),
                buffers=_size(statistics),
                multiply_adds=multiply_adds,
            )
        )
    return rows


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that get a row, by name."""
    found = {}
    for name, module in model.named_modules():
        idle = isinstance(module, nn.Identity) or (isinstance(module, nn.Dropout | Dropout) and module.p == 0)
        inside_a_layer = "parametrizations" in name.split(".")
        is_leaf = parametrize.is_parametrized(module) or next(module.children(), None) is None
        if not idle and not inside_a_layer and (is_leaf or _own_tensors(module)):
            found[name] = module
    return found


def _own_tensors(module: nn.Module) -> list[Tensor]:
    """Return the parameters and buffers of ``module`` and its parametrizations, without those of its submodules."""
    parts = [module]
    if parametrize.is_parametrized(module):
        assert isinstance(module.parametrizations, nn.ModuleDict)
        parts += module.parametrizations.modules()
    return [tensor for part in parts for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False))]


def _calls(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], int]]:
    """Send shapes without data through the network; return each row's output shape and multiply-adds."""
    calls: dict[str, tuple[tuple[int, ...], int]] = {}

    def note(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        _, before = calls.get(name, ((), 0))
        # Each output is a sum of as many products as its unit has weights: k² · C_in / groups, or in.
        new = output.numel() * layer.weight[0].numel() if isinstance(layer, LAYERS) else 0
        calls[name] = tuple(output.shape[1:]), before + new

    shapes_only = deepcopy(model).to("meta").eval()
    for name, layer in _layers(shapes_only).items():
        layer.register_forward_hook(partial(note, name))
    with torch.no_grad():
        shapes_only(torch.empty(1, *input_shape, device="meta"))
    return calls


def _size(tensors: list[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)
