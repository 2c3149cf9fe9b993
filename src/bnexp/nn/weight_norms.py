"""Reparametrizations of a layer's weight, registered with :mod:`torch.nn.utils.parametrize`.

They are functions of ``layer.weight``: assigning ``layer.weight = w`` (under ``torch.no_grad``) sets their parameters
so that the layer starts from ``w``, normalized; writing into ``layer.weight`` in place has no effect.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from bnexp.errors import ConfigError


def weight_norm(layer: nn.Module) -> nn.Module:
    """Give each output unit a length and a direction: w = g · v / ‖v‖ (``original0`` is g, ``original1`` is v)."""
    parametrizations.weight_norm(layer)
    return layer


def centered_weight_norm(layer: nn.Module) -> nn.Module:
    """Give each output unit a length and a direction of mean zero; raise :class:`ConfigError` on one input."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if weight[0].numel() == 1:
        raise ConfigError(
            "norm=centered_weight needs more than one weight per unit: a layer with 1 input has one, "
            "which centred is 0; use norm=weight"
        )
    parametrize.register_parametrization(layer, "weight", CenteredWeight(), unsafe=True)
    return layer


def spectral_norm(layer: nn.Module, *, n_power_iterations: int, eps: float) -> nn.Module:
    """Divide the weight, as a matrix (out, in · kernel), by its largest singular value."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    with torch.random.fork_rng(devices=[]):  # its first vectors are random; what is made next is not to depend on that
        spectral = SpectralNorm(weight, n_power_iterations, dim=0, eps=eps)
    parametrize.register_parametrization(layer, "weight", spectral)
    return layer


class CenteredWeight(nn.Module):
    """w = g · (v − v̄) / ‖v − v̄‖ for each output unit; v̄ is the mean over its inputs."""

    def forward(self, scale: Tensor, direction: Tensor) -> Tensor:
        """Return the weight (out, …) of ``scale`` (out, 1, …) and ``direction`` (out, …)."""
        centered = _centered(direction)
        return scale * (centered / _length(centered))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scale and direction that give ``weight`` less its mean."""
        return _length(_centered(weight)), weight


def _centered(v: Tensor) -> Tensor:
    return v - v.mean(tuple(range(1, v.ndim)), keepdim=True)


def _length(v: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(v, dim=tuple(range(1, v.ndim)), keepdim=True)
    return length


class SpectralNorm(parametrizations._SpectralNorm):
    """``torch.nn.utils.parametrizations.spectral_norm``, exact at the start and in full precision.

    PyTorch keeps its estimate of the singular vectors when a weight is assigned, so that a freshly initialized layer
    would begin with the vectors of another matrix (σ = 25 instead of 1 was seen); here assignment recomputes them.
    Autocast would take σ in bfloat16.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """Return ``weight`` / σ, after one round of power iterations in training."""
        with nullcontext() if weight.is_meta else torch.autocast(weight.device.type, enabled=False):
            normalized: Tensor = super().forward(weight)
        return normalized

    def right_inverse(self, value: Tensor) -> Tensor:
        """Take over ``value`` and its leading singular vectors."""
        left, _, right = torch.linalg.svd(value.flatten(1), full_matrices=False)
        self._u.copy_(left[:, 0])
        self._v.copy_(right[0])
        return value
