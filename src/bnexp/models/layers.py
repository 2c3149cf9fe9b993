"""The hidden layer that every architecture is made of: a weight layer, a norm and an activation, in either order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from torch import Tensor, nn

from bnexp.errors import ConfigError

Activation = Callable[[], nn.Module]
NormPosition = Literal["before", "after"]


class Norm(Protocol):
    """What a model asks of a normalizer (:class:`bnexp.nn.norm.Norm` is one)."""

    @property
    def features(self) -> Callable[[int, bool], nn.Module]:
        """Build the module for ``num_features`` outputs, spatial or not."""

    @property
    def weight(self) -> Callable[[nn.Module], nn.Module]:
        """Reparametrize a layer."""

    @property
    def input(self) -> bool:
        """Whether one stands in front of the network."""


class Hidden(nn.Sequential):
    """``layer`` → ``norm`` → ``activation``; with ``norm_position="after"``, ``layer`` → ``activation`` → ``norm``.

    Ioffe & Szegedy 2015 (section 3.2) put the norm before the activation. The layer keeps its bias even where the norm
    takes it away again, so that two arms of an experiment differ in nothing but the norm.
    """

    def __init__(
        self, layer: nn.Conv2d | nn.Linear, activation: Activation, norm: Norm, position: NormPosition
    ) -> None:
        super().__init__()
        spatial = isinstance(layer, nn.Conv2d)
        num_features = layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features
        self.add_module("layer", norm.weight(layer))
        parts = [("norm", norm.features(num_features, spatial)), ("activation", activation())]
        for name, module in parts if position == "before" else reversed(parts):
            self.add_module(name, module)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """3×3 convolution with zero padding 1: (N, in_channels, H, W) → (N, out_channels, H / stride, W / stride)."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)


def input_norm(norm: Norm, num_features: int, *, spatial: bool) -> nn.Module:
    """Return the norm in front of the network where ``norm.input`` asks for one, else the identity."""
    return norm.features(num_features, spatial) if norm.input else nn.Identity()


class GlobalMean(nn.Module):
    """Mean over all positions: (N, C, H, W) → (N, C).

    Written as a mean, since adaptive average pooling has no deterministic backward on CUDA.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of ``x`` over its last two dimensions."""
        return x.mean((2, 3))


def image_shape(input_shape: tuple[int, ...], model: str) -> tuple[int, int, int]:
    """Return ``(C, H, W)``; raise :class:`ConfigError` where the dataset has rows and not images."""
    if len(input_shape) != 3:
        raise ConfigError(
            f"model={model} needs images; this dataset has rows of {input_shape[0]} features: use model=mlp"
        )
    channels, height, width = input_shape
    return channels, height, width
