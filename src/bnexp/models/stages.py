"""Plain convolutional stages, each closed by a pool: the trunk of ``convnet`` and ``vgg``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from bnexp.models.layers import Hidden, Recipe, conv3x3


def conv_stages(image_shape: tuple[int, int, int], plan: Sequence[tuple[int, int]], recipe: Recipe) -> nn.Sequential:
    """Return 3×3 convolutions in stages, with a 2×2 max-pool behind each stage.

    ``plan`` holds (number of convolutions, channels) of each stage. A pool halves a side, rounding down, and leaves a
    side of 1 as it is: S stages map (N, C, H, W) to (N, last channels, max(1, ⌊H / 2^S⌋), max(1, ⌊W / 2^S⌋)).
    """
    channels, height, width = image_shape
    stages = []
    for num_layers, out_channels in plan:
        layers: list[nn.Module] = []
        for _ in range(num_layers):
            layers.append(Hidden(conv3x3(channels, out_channels), recipe))
            channels = out_channels
        layers.append(nn.MaxPool2d((min(2, height), min(2, width))))
        height, width = max(1, height // 2), max(1, width // 2)
        stages.append(nn.Sequential(*layers))
    return nn.Sequential(*stages)
