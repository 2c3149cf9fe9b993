"""What flows through a network: one forward and one backward pass of a batch, recorded at each of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bnexp.nn.activation import activations
from bnexp.nn.initialize import Layer, named_layers
from bnexp.nn.losses import Loss
from bnexp.signals.untouched import untouched


@dataclass(frozen=True)
class LayerSignals:
    """What flows through one convolution or linear layer, with the activation function behind it.

    All tensors are detached. N is the batch; a linear layer has no H and W.

    Attributes:
        name: where the network has the layer (``hidden.0.layer``).
        layer: the layer itself.
        function: its activation function: the first that is called behind it, before another layer is; None for an
            output layer.
        weight: (out, in / groups, *kernel), the one that the layer computes with, also where a norm makes it of others.
        preactivation: (N, units, H, W), what the activation function receives: the layer's output, behind the norm that
            stands in between, and behind the sum where a residual block ends; without a function, the layer's output.
        activation: (N, units, H, W), what the activation function returns; without a function, the layer's output.
        weight_gradient: of the loss, of the shape of ``weight``.
        preactivation_gradient: of the loss, of the shape of ``preactivation``.
    """

    name: str
    layer: Layer
    function: nn.Module | None
    weight: Tensor
    preactivation: Tensor
    activation: Tensor
    weight_gradient: Tensor
    preactivation_gradient: Tensor


@dataclass(frozen=True)
class Probe:
    """One pass of a batch, all tensors on the device.

    Attributes:
        loss: the mean over the batch, of no dimension.
        logits: (N, num_classes).
        layers: in the order of computation.
    """

    loss: Tensor
    logits: Tensor
    layers: tuple[LayerSignals, ...]


@dataclass
class _Call:
    """One layer's call in the forward pass, still with its graph."""

    name: str
    layer: Layer
    preactivation: Tensor
    activation: Tensor
    function: nn.Module | None = None
    weight: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.weight = self.layer.weight


def probe(model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> Probe:
    """Send a batch through ``model`` in training mode and its loss back; ``model`` is then as it was.

    The same batch gives the same signals, dropout included. Where noise is drawn from generators that are no module's
    own, enter :func:`bnexp.signals.untouched.untouched` with them around this. A layer that the network calls several
    times is seen at the first. Weights that ``model.freeze`` holds have a gradient here like all others. Keeps all
    layers' tensors, about twice the memory of a training step of that batch.

    Args:
        model: its activation functions are those that :func:`bnexp.nn.activation.marked` factories made.
        inputs: (N, …), as the model takes them.
        targets: labels (N,) or probabilities (N, num_classes).
        loss: the mean over the batch.
    """
    # Cached: the weight that a norm makes of others is one tensor, in the forward pass and for its gradient.
    with (
        untouched(model),
        torch.enable_grad(),
        parametrize.cached(),
        _with_gradients(model),
        _recording(model) as calls,
    ):
        logits = model(inputs)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        value = loss(logits, targets)
        wanted = [tensor for call in calls for tensor in (call.weight, call.preactivation)]
        gradients = _gradients(value, wanted)
    return Probe(value.detach(), logits.detach(), tuple(map(_signals, calls, gradients[::2], gradients[1::2])))


@contextmanager
def _recording(model: nn.Module) -> Iterator[list[_Call]]:
    calls: list[_Call] = []

    def layer_hook(name: str, layer: Layer, _: tuple[Tensor, ...], output: Tensor) -> None:
        if all(call.name != name for call in calls):
            calls.append(_Call(name, layer, output, output))

    def function_hook(function: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if calls and calls[-1].function is None:
            calls[-1].function, calls[-1].preactivation, calls[-1].activation = function, args[0], output

    with ExitStack() as stack:
        for name, layer in named_layers(model):
            stack.callback(layer.register_forward_hook(partial(layer_hook, name)).remove)
        for function in activations(model):
            stack.callback(function.register_forward_hook(function_hook).remove)
        yield calls


@contextmanager
def _with_gradients(model: nn.Module) -> Iterator[None]:
    """Let the weights of all layers require gradients within."""
    frozen = [p for _, layer in named_layers(model) for p in layer.parameters() if not p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _gradients(value: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of ``value``; zeros for what it does not depend on."""
    found = torch.autograd.grad(value, wanted, allow_unused=True)
    return [
        torch.zeros_like(tensor) if gradient is None else gradient
        for gradient, tensor in zip(found, wanted, strict=True)
    ]


def _signals(call: _Call, weight_gradient: Tensor, preactivation_gradient: Tensor) -> LayerSignals:
    return LayerSignals(
        name=call.name,
        layer=call.layer,
        function=call.function,
        weight=call.weight.detach(),
        preactivation=call.preactivation.detach(),
        activation=call.activation.detach(),
        weight_gradient=weight_gradient,
        preactivation_gradient=preactivation_gradient,
    )
