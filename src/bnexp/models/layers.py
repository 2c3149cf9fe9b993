"""The hidden layer that every architecture is made of: a weight layer with a norm, an activation and dropout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor, nn

from bnexp.errors import ConfigError

Activation = Callable[[], nn.Module]
NormPosition = Literal["before", "after"]
DropoutPosition = Literal["output", "before_norm", "after_norm"]
WeightLayer = nn.Conv2d | nn.Linear


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


@dataclass(frozen=True)
class Recipe:
    """What stands behind each weight layer of a network, and in which order.

    Norm and activation: ``norm_position="before"`` puts the norm before the activation (Ioffe & Szegedy 2015,
    section 3.2), ``"after"`` behind it. Dropout, of single values also in a convolution: ``"output"`` has it once,
    before the output layer and so behind all norms (the remedy of Li et al. 2019); ``"before_norm"`` in each hidden
    layer directly before its norm, ``"after_norm"`` at the end of each hidden layer, behind norm and activation.

    Attributes:
        activation: makes an activation module.
        norm: normalizes a layer's weight, its outputs, or both.
        norm_position: norm before or after the activation.
        dropout: probability to drop a value.
        dropout_position: where values are dropped.
    """

    activation: Activation
    norm: Norm
    norm_position: NormPosition
    dropout: float
    dropout_position: DropoutPosition

    def behind(self, layer: WeightLayer) -> list[tuple[str, nn.Module]]:
        """Return the modules that follow ``layer`` with their names, in their order."""
        spatial = isinstance(layer, nn.Conv2d)
        num_features = layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features
        norm = ("norm", self.norm.features(num_features, spatial))
        activation = ("activation", self.activation())
        parts: list[tuple[str, nn.Module]] = [norm, activation]
        if self.norm_position == "after":
            parts.reverse()
        if self.dropout_position != "output":
            index = parts.index(norm) if self.dropout_position == "before_norm" else len(parts)
            parts.insert(index, ("dropout", nn.Dropout(self.dropout)))
        return parts

    def before_output(self) -> nn.Module:
        """Return what stands before the output layer: dropout, or the identity where it stands elsewhere."""
        return nn.Dropout(self.dropout) if self.dropout_position == "output" else nn.Identity()


class Hidden(nn.Sequential):
    """``layer`` and what the ``recipe`` puts behind it.

    The layer keeps its bias even where the norm takes it away again, so that two arms of an experiment differ in
    nothing but the norm.
    """

    def __init__(self, layer: WeightLayer, recipe: Recipe) -> None:
        super().__init__()
        self.add_module("layer", recipe.norm.weight(layer))
        for name, module in recipe.behind(layer):
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
