"""The residual network of He et al. 2016 for small images, and the plain network beside it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.errors import ConfigError
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
from bnexp.ranges import Depth, Fraction, Width


class ZeroPadShortcut(nn.Module):
    """The shortcut without parameters (He et al. 2016, option A): every ``stride``-th position, new channels zero."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


class ResidualBlock(nn.Module):
    """activation(shortcut(x) + residual(x)), the residual being two 3×3 convolutions (He et al. 2016, figure 2).

    What the recipe puts behind the second convolution up to its activation belongs to the residual, the activation and
    what follows it to the sum: with ``norm_position="after"`` each norm moves behind the activation that it stood
    before.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, recipe: Recipe) -> None:
        super().__init__()
        first = Hidden(conv3x3(in_channels, out_channels, stride), recipe)
        second = conv3x3(out_channels, out_channels)
        names, behind = zip(*recipe.behind(second), strict=True)
        cut = names.index("activation")
        self.residual = nn.Sequential(first, recipe.norm.weight(second), *behind[:cut])
        self.shortcut = ZeroPadShortcut(in_channels, out_channels, stride)
        self.output = nn.Sequential(*behind[cut:])

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        summed: Tensor = self.output(self.shortcut(x) + self.residual(x))
        return summed


def plain_block(in_channels: int, out_channels: int, stride: int, recipe: Recipe) -> nn.Module:
    """Return the two layers of a :class:`ResidualBlock` without its shortcut (He et al. 2016, figure 3, middle)."""
    first = Hidden(conv3x3(in_channels, out_channels, stride), recipe)
    return nn.Sequential(first, Hidden(conv3x3(out_channels, out_channels), recipe))


class ResNet(nn.Module):
    """A 3×3 convolution, three stages of n residual blocks, global mean pooling, a linear layer.

    Formula: y = activation(x + F(x)), F two 3×3 convolutions; without shortcuts y = activation(F(x)); depth = 6n + 2
        layers with weights; stages of w, 2w, 4w channels, the second and third beginning with stride 2
    Source: He et al. 2016, section 4.2, shortcuts of option A (no parameters)

    The convolutions keep their biases, as everywhere in bnexp: 688 parameters more than the paper's 0.27 M for 20
    layers. The plain network has the same layers, and with the same seed the same initial weights.

    Args:
        input_shape: (C, H, W).
        num_classes: number of logits.
        activation: makes an activation module.
        norm: normalizes each convolution.
        depth: 6n + 2: 20, 32, 44, 56, 110, …
        width: channels of the first stage.
        shortcut: whether the blocks have their shortcuts; without, it is the paper's plain network.
        dropout: probability to drop a value.
        dropout_position: see :class:`bnexp.models.layers.Recipe`; in a block the second layer ends behind the sum.
        norm_position: norm before or after the activation.

    Raises:
        ConfigError: for rows instead of images, or a depth that is not 6n + 2.
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
        shortcut: bool,
        dropout: Fraction,
        dropout_position: DropoutPosition,
        norm_position: NormPosition,
    ) -> None:
        super().__init__()
        channels, *_ = image_shape(input_shape, "resnet")
        if depth < 8 or (depth - 2) % 6:
            raise ConfigError(f"model.depth={depth} is not 6n + 2 with n ≥ 1: use 8, 14, 20, 32, 44, 56 or 110")
        recipe = Recipe(activation, norm, norm_position, dropout, dropout_position)
        block = ResidualBlock if shortcut else plain_block
        self.input_norm = input_norm(norm, channels, spatial=True)
        self.stem = Hidden(conv3x3(channels, width), recipe)
        blocks, channels = [], width
        for stage in range(3):
            for index in range((depth - 2) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(channels, width * 2**stage, stride, recipe))
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.pool = GlobalMean()
        self.dropout = recipe.before_output()
        self.output = norm.weight(nn.Linear(channels, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map standardized images (N, C, H, W) to logits (N, num_classes)."""
        x = self.blocks(self.stem(self.input_norm(x)))
        logits: Tensor = self.output(self.dropout(self.pool(x)))
        return logits
