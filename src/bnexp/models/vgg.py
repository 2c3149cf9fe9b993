"""The VGG networks of Simonyan & Zisserman 2015, fitted to small images."""

from __future__ import annotations

from torch import Tensor, nn

from bnexp.errors import ConfigError
from bnexp.models.layers import (
    Activation,
    DropoutPosition,
    GlobalMean,
    Norm,
    NormPosition,
    Recipe,
    image_shape,
    input_norm,
)
from bnexp.models.stages import conv_stages
from bnexp.ranges import Depth, Fraction, Width

STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of each stage by depth: columns A, B, D and E of the paper's table 1."""


class VGG(nn.Module):
    """Five stages of 3×3 convolutions, each closed by a 2×2 max-pool; global mean pooling; one linear layer.

    Formula: stages of w, 2w, 4w, 8w, 8w channels with 1, 1, 2, 2, 2 convolutions (VGG-11; 13: 2, 2, 2, 2, 2;
        16: 2, 2, 3, 3, 3; 19: 2, 2, 4, 4, 4)
    Source: Simonyan & Zisserman 2015, table 1, columns A, B, D, E; the mean and one linear layer stand for the three
        dense layers, which are made for 224 × 224 pixels (so depth, which counts them in the paper, is a name here)

    A pool leaves a side of 1 as it is: images of less than 32 pixels reach 1 × 1 before the last stage.

    Args:
        input_shape: (C, H, W).
        num_classes: number of logits.
        activation: makes an activation module.
        norm: normalizes each convolution.
        depth: 11, 13, 16 or 19.
        width: channels of the first stage, 64 in the paper.
        dropout: probability to drop a value.
        dropout_position: see :class:`bnexp.models.layers.Recipe`.
        norm_position: norm before or after the activation.

    Raises:
        ConfigError: for rows instead of images, or another depth.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        activation: Activation,
        norm: Norm,
        *,
        depth: Depth,
        width: Width,
        dropout: Fraction,
        dropout_position: DropoutPosition,
        norm_position: NormPosition,
    ) -> None:
        super().__init__()
        shape = image_shape(input_shape, "vgg")
        if depth not in STAGES:
            raise ConfigError(f"model.depth={depth} is no VGG network: use 11, 13, 16 or 19, or model=convnet")
        channels = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        recipe = Recipe(activation, norm, norm_position, dropout, dropout_position)
        self.input_norm = input_norm(norm, shape[0], spatial=True)
        self.stages = conv_stages(shape, list(zip(STAGES[depth], channels, strict=True)), recipe)
        self.pool = GlobalMean()
        self.dropout = recipe.before_output()
        self.output = norm.weight(nn.Linear(channels[-1], num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map standardized images (N, C, H, W) to logits (N, num_classes)."""
        x = self.stages(self.input_norm(x))  # (N, 8 · width, max(1, ⌊H / 32⌋), max(1, ⌊W / 32⌋))
        logits: Tensor = self.output(self.dropout(self.pool(x)))
        return logits
