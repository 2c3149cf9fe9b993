"""The loss around a network's weights, on a line or a plane through them: filter-normalized slices.

Weights can be scaled between layers without any change of the function, and then a step of one length means little to
large weights and much to small ones. So each filter of a random direction is as long as the network's own: a step of 1
is as large as the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bnexp.nn.initialize import named_layers
from bnexp.training.evaluation import evaluate

Direction = Mapping[str, Tensor]
"""Steps for the weights of some layers, by the layer's name; all other parameters stay where they are."""


def plain(model: nn.Module) -> nn.Module:
    """Copy a network for evaluation, with the very weights that its layers compute with.

    A norm that makes a weight of other parameters (weight norm, spectral norm) is dissolved into it: scaling a
    direction by the filters of v would mean nothing, as the function does not depend on their length.
    """
    copy = deepcopy(model).eval()
    for layer in list(copy.modules()):
        if parametrize.is_parametrized(layer):
            assert isinstance(layer.parametrizations, nn.ModuleDict)
            made = {name: getattr(layer, name) for name in layer.parametrizations}
            # Not by remove_parametrizations, which changes the class, and so the network that was copied.
            layer.__class__ = parametrize.type_before_parametrizations(layer)
            del layer.parametrizations
            for name, tensor in made.items():
                layer.register_parameter(name, nn.Parameter(tensor.detach().clone(), tensor.requires_grad))
    return copy


@torch.no_grad()
def direction(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw a random direction whose filters are as long as the network's.

    A filter is what makes one output channel of a convolution, or one unit of a linear layer. Biases, parameters of
    norms and layers that training leaves alone (``model.freeze``) have no part in the direction: their steps are 0.

    Formula: d_ij ← d_ij / ‖d_ij‖ · ‖θ_ij‖, d ~ N(0, 1), filter j of layer i; norms are Frobenius norms
    Source: Li et al. 2018, section 4.

    Args:
        model: one that :func:`plain` returned.
        generator: on the CPU; networks of the same layers get the same draws from the same state.
    """
    found = {}
    for name, layer in named_layers(model):
        noise = torch.randn(layer.weight.shape, generator=generator).to(layer.weight)
        if layer.weight.requires_grad:
            found[name] = noise * (_filter_norms(layer.weight) / _filter_norms(noise))
    return found


@torch.no_grad()
def losses(
    model: nn.Module,
    directions: Sequence[Direction],
    points: Iterable[Sequence[float]],
    batches: Sequence[tuple[Tensor, Tensor]],
    autocast: torch.autocast,
) -> Iterator[float]:
    """Yield the loss at each point (α, β, …): L(θ + α d + β e + …).

    The mean cross-entropy in nats in evaluation mode, as a run's evaluation has it: batch norm normalizes by the
    running statistics that the run ended with, at every point (as Li's published code does).

    Args:
        model: one that :func:`plain` returned; it is left as it was.
        directions: d, e, …
        points: a coordinate for each direction.
        batches: scaled inputs and their labels.
        autocast: context of the forward passes.
    """
    weights = {name: layer.weight for name, layer in named_layers(model)}
    centre = {name: weight.clone() for name, weight in weights.items()}
    try:
        for point in points:
            for name, weight in weights.items():
                weight.copy_(centre[name])
                for step, part in zip(point, directions, strict=True):
                    if step and name in part:
                        weight.add_(part[name], alpha=step)
            yield evaluate(model, batches, autocast).loss
    finally:
        for name, weight in weights.items():
            weight.copy_(centre[name])


def _filter_norms(weight: Tensor) -> Tensor:
    """Return the norm of each filter of ``weight`` (out, …) as (out, 1, …)."""
    norms: Tensor = weight.flatten(1).norm(dim=1)
    return norms.view(-1, *[1] * (weight.dim() - 1))
