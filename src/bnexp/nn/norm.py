"""What a normalizer is to a model: something done to each layer's weight, its outputs, or both.

Models receive one :class:`Norm` and never ask which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn


def unchanged(layer: nn.Module) -> nn.Module:
    """Leave a layer's weight as it is."""
    return layer


def no_features(num_features: int, spatial: bool) -> nn.Module:
    """Leave a layer's outputs as they are."""
    return nn.Identity()


@dataclass(frozen=True)
class Norm:
    """One way to normalize a network.

    Attributes:
        features: ``features(num_features, spatial)`` returns the module that normalizes a layer's outputs of shape
            (N, num_features) or, where ``spatial``, (N, num_features, H, W).
        weight: reparametrizes a convolution or linear layer (weight norm, spectral norm) and returns it.
        input: whether one more ``features`` module stands in front of the network.
    """

    features: Callable[[int, bool], nn.Module] = no_features
    weight: Callable[[nn.Module], nn.Module] = unchanged
    input: bool = False


def normalizes_features(norm: Norm) -> bool:
    """Whether the outputs of all layers have one scale, whatever their weights and inputs are.

    Not so under norms of weights; mean-only batch norm is one of them, as it leaves the scale to weight norm.
    """
    return norm.features is not no_features and norm.weight is unchanged


def marked(norm: Norm) -> Norm:
    """Return the same norm, but for a mark on the modules that it makes, by which :func:`is_norm` knows them."""
    if norm.features is no_features:
        return norm

    def features(num_features: int, spatial: bool) -> nn.Module:
        module = norm.features(num_features, spatial)
        for part in module.modules():
            part.is_norm = True  # type: ignore[assignment]
        return module

    return replace(norm, features=features)


def is_norm(module: nn.Module) -> bool:
    """Whether a :func:`marked` norm made the module."""
    return getattr(module, "is_norm", False) is True
