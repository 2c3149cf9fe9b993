"""The residual network of He et al. 2016 for small images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.errors import ConfigError
from bnexp.models.layers import Activation, GlobalMean, Hidden, Norm, NormPosition, conv3x3, image_shape, input_norm
from bnexp.ranges import Count, Fraction


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

    With ``norm_position="after"`` each norm moves behind the activation that it stood before.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        activation: Activation,
        norm: Norm,
        position: NormPosition,
    ) -> None:
        super().__init__()
        first = Hidden(conv3x3(in_channels, out_channels, stride), activation, norm, position)
        second = norm.weight(conv3x3(out_channels, out_channels))
        last_norm = norm.features(out_channels, True)
        before = position == "before"
        self.residual = nn.Sequential(first, second, last_norm) if before else nn.Sequential(first, second)
        self.shortcut = ZeroPadShortcut(in_channels, out_channels, stride)
        self.output = activation() if before else nn.Sequential(activation(), last_norm)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        summed: Tensor = self.output(self.shortcut(x) + self.residual(x))
        return summed


class ResNet(nn.Module):
    """A 3×3 convolution, three stages of n residual blocks, global mean pooling, a linear layer.

    The stages have ``width``, 2 ``width`` and 4 ``width`` channels; the second and third begin with stride 2. Depth
    counts the layers with weights: 6n + 2 (He et al. 2016, section 4.2). The convolutions keep their biases, as
    everywhere in bnexp: 688 parameters more than the paper's 0.27 M for 20 layers.

    Args:
        input_shape: (C, H, W).
        num_classes: number of logits.
        activation: makes an activation module.
        norm: normalizes each convolution.
        depth: 6n + 2: 20, 32, 44, 56, 110, …
        width: channels of the first stage.
        dropout: probability to drop a value before the linear layer.
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
        depth: Count,
        width: Count,
        dropout: Fraction,
        norm_position: NormPosition,
    ) -> None:
        super().__init__()
        channels, *_ = image_shape(input_shape, "resnet")
        if depth < 8 or (depth - 2) % 6:
            raise ConfigError(f"model.depth={depth} is not 6n + 2 with n ≥ 1: use 8, 14, 20, 32, 44, 56 or 110")
        self.input_norm = input_norm(norm, channels, spatial=True)
        self.stem = Hidden(conv3x3(channels, width), activation, norm, norm_position)
        blocks, channels = [], width
        for stage in range(3):
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                out_channels = width * 2**stage
                blocks.append(ResidualBlock(channels, out_channels, stride, activation, norm, norm_position))
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.pool = GlobalMean()
        self.dropout = nn.Dropout(dropout)
        self.output = norm.weight(nn.Linear(channels, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map standardized images (N, C, H, W) to logits (N, num_classes)."""
        x = self.blocks(self.stem(self.input_norm(x)))
        logits: Tensor = self.output(self.dropout(self.pool(x)))
        return logits
