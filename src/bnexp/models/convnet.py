"""The plain ConvNet on which most questions about init and norm are asked."""

from __future__ import annotations

from torch import Tensor, nn

from bnexp.errors import ConfigError
from bnexp.models.layers import Activation, GlobalMean, Hidden, Norm, NormPosition, conv3x3, image_shape, input_norm
from bnexp.ranges import Count, Fraction


class ConvNet(nn.Module):
    """3×3 convolutions in stages, each stage closed by a 2×2 max-pool; global mean pooling; one linear layer.

    Stage s (from 0) has ``width`` · 2^s channels; ``depth`` layers are dealt out as evenly as can be, the first stages
    getting one more. ``depth=3, width=32, num_stages=3`` is the 32–64–128 net. A pool leaves a side of 1 as it is.

    Args:
        input_shape: (C, H, W).
        num_classes: number of logits.
        activation: makes an activation module.
        norm: normalizes each convolution.
        depth: number of convolutions, at least ``num_stages``.
        width: channels of the first stage.
        num_stages: number of stages.
        dropout: probability to drop a value before the linear layer.
        norm_position: norm before or after the activation.

    Raises:
        ConfigError: for rows instead of images, or fewer layers than stages.
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
        num_stages: Count,
        dropout: Fraction,
        norm_position: NormPosition,
    ) -> None:
        super().__init__()
        channels, height, side = image_shape(input_shape, "convnet")
        if depth < num_stages:
            raise ConfigError(
                f"model.depth={depth} is less than model.num_stages={num_stages}: each stage needs a layer; "
                f"use model.depth={num_stages} or model.num_stages={depth}"
            )
        self.input_norm = input_norm(norm, channels, spatial=True)
        stages = []
        for stage in range(num_stages):
            out_channels = width * 2**stage
            layers: list[nn.Module] = []
            for _ in range(depth // num_stages + (stage < depth % num_stages)):
                layers.append(Hidden(conv3x3(channels, out_channels), activation, norm, norm_position))
                channels = out_channels
            layers.append(nn.MaxPool2d((min(2, height), min(2, side))))
            height, side = max(1, height // 2), max(1, side // 2)
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.pool = GlobalMean()
        self.dropout = nn.Dropout(dropout)
        self.output = norm.weight(nn.Linear(channels, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map standardized images (N, C, H, W) to logits (N, num_classes)."""
        x = self.stages(self.input_norm(x))  # (N, width · 2^(num_stages − 1), H / 2^num_stages, W / 2^num_stages)
        logits: Tensor = self.output(self.dropout(self.pool(x)))
        return logits
