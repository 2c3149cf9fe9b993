"""GoogLeNet, the Inception network of Szegedy et al. 2015, fitted to small images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bnexp.models.layers import (
    Activation,
    DropoutPosition,
    GlobalMean,
    Hidden,
    Norm,
    NormPosition,
    Recipe,
    conv3x3,
    image_shape,
    input_norm,
)
from bnexp.ranges import Fraction, Width

PAPER_WIDTH = 192
"""Channels that the paper's stem hands to the first module."""

STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""Channels of each module at ``PAPER_WIDTH``, 3a to 5b of the paper's table 1: 1×1; 3×3 reduce, 3×3; 5×5 reduce, 5×5;
pool projection."""


class Inception(nn.Module):
    """Four branches side by side: 1×1; 1×1 → 3×3; 1×1 → 5×5; 3×3 max-pool → 1×1 (Szegedy et al. 2015, figure 2b)."""

    def __init__(self, in_channels: int, channels: Sequence[int], recipe: Recipe) -> None:
        super().__init__()
        ones, reduced3, threes, reduced5, fives, pooled = channels
        self.out_channels = ones + threes + fives + pooled

        def conv(num_inputs: int, num_outputs: int, side: int) -> Hidden:
            return Hidden(nn.Conv2d(num_inputs, num_outputs, side, padding=side // 2), recipe)

        self.branch1 = conv(in_channels, ones, 1)
        self.branch3 = nn.Sequential(conv(in_channels, reduced3, 1), conv(reduced3, threes, 3))
        self.branch5 = nn.Sequential(conv(in_channels, reduced5, 1), conv(reduced5, fives, 5))
        self.branch_pool = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(in_channels, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, H, W)."""
        return torch.cat([self.branch1(x), self.branch3(x), self.branch5(x), self.branch_pool(x)], dim=1)


class GoogLeNet(nn.Module):
    """A 3×3 convolution; nine Inception modules, a pool behind the 2nd and 7th; global mean pooling; one linear layer.

    Formula: a module concatenates 1×1; 1×1 → 3×3; 1×1 → 5×5; 3×3 max-pool → 1×1; its channels are the paper's times
        width/192, rounded up to a multiple of 8 (which norm=group divides)
    Source: Szegedy et al. 2015, table 1, modules 3a to 5b; one convolution stands for the stem, which reduces
        224 × 224 pixels to 28 × 28; the two auxiliary classifiers are left out

    ``width=192`` has the paper's modules exactly. The 3×3 max-pools of stride 2 halve a side, rounding up.

    Args:
        input_shape: (C, H, W).
        num_classes: number of logits.
        activation: makes an activation module.
        norm: normalizes each convolution.
        width: channels of the first convolution.
        dropout: probability to drop a value.
        dropout_position: see :class:`bnexp.models.layers.Recipe`.
        norm_position: norm before or after the activation.

    Raises:
        ConfigError: for rows instead of images.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        activation: Activation,
        norm: Norm,
        *,
        width: Width,
        dropout: Fraction,
        dropout_position: DropoutPosition,
        norm_position: NormPosition,
    ) -> None:
        super().__init__()
        channels, *_ = image_shape(input_shape, "googlenet")
        recipe = Recipe(activation, norm, norm_position, dropout, dropout_position)
        self.input_norm = input_norm(norm, channels, spatial=True)
        self.stem = Hidden(conv3x3(channels, width), recipe)
        stages, channels = [], width
        for paper_stage in STAGES:
            modules: list[nn.Module] = []
            for paper_channels in paper_stage:
                module = Inception(channels, [_scaled(number, width) for number in paper_channels], recipe)
                modules.append(module)
                channels = module.out_channels
            if paper_stage is not STAGES[-1]:
                modules.append(nn.MaxPool2d(3, stride=2, padding=1))
            stages.append(nn.Sequential(*modules))
        self.stages = nn.Sequential(*stages)
        self.pool = GlobalMean()
        self.dropout = recipe.before_output()
        self.output = norm.weight(nn.Linear(channels, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map standardized images (N, C, H, W) to logits (N, num_classes)."""
        x = self.stages(self.stem(self.input_norm(x)))  # (N, 1024 · width / 192, ⌈H / 4⌉, ⌈W / 4⌉)
        logits: Tensor = self.output(self.dropout(self.pool(x)))
        return logits


def _scaled(channels: int, width: int) -> int:
    return 8 * -(-channels * width // (8 * PAPER_WIDTH))
