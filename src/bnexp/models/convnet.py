"""The plain ConvNet on which most questions about init and norm are asked."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from bnexp.errors import ConfigError
from bnexp.models.budget import choose_size, num_parameters
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
from bnexp.ranges import Count, Depth, Fraction, Interval, Width


class ConvNet(nn.Module):
    """3×3 convolutions in stages, each stage closed by a 2×2 max-pool; global mean pooling; one linear layer.

    Formula: stage s (from 0) has width · 2^s channels; depth layers are dealt out as evenly as can be, the first stages
        getting one more
    Source: the style of Simonyan & Zisserman 2015, with global mean pooling (Lin et al. 2014) for their dense layers

    ``depth=3, width=32, num_stages=3`` is the 32–64–128 net. With ``parameters`` the last stage gets as many channels
    as bring the network nearest to that number of weights and biases, and each stage before half as many (rounded up).

    Args:
        input_shape: (C, H, W).
        num_classes: number of logits.
        activation: makes an activation module.
        norm: normalizes each convolution.
        depth: number of convolutions, at least ``num_stages``.
        width: channels of the first stage; None where ``parameters`` decides.
        parameters: number of weights and biases to come near to, those of norms not counted; None where ``width``
            decides.
        num_stages: number of stages.
        dropout: probability to drop a value.
        dropout_position: see :class:`bnexp.models.layers.Recipe`.
        norm_position: norm before or after the activation.

    Raises:
        ConfigError: for rows instead of images, fewer layers than stages, or a size that is not decided once.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        activation: Activation,
        norm: Norm,
        *,
        depth: Depth,
        width: Width | None,
        parameters: Annotated[Count, Interval(high=10**12)] | None,
        num_stages: Annotated[Count, Interval(high=10)],
        dropout: Fraction,
        dropout_position: DropoutPosition,
        norm_position: NormPosition,
    ) -> None:
        super().__init__()
        shape = image_shape(input_shape, "convnet")
        if depth < num_stages:
            raise ConfigError(
                f"model.depth={depth} is less than model.num_stages={num_stages}: each stage needs a layer; "
                f"use model.depth={num_stages} or model.num_stages={depth}"
            )

        def count(last: int) -> int:
            chain = [shape[0]]
            for num_layers, channels in _plan(depth, num_stages, last):
                chain += [channels] * num_layers
            return num_parameters(chain, kernel_area=9) + num_parameters([last, num_classes])

        last = choose_size(None if width is None else width * 2 ** (num_stages - 1), parameters, count)
        recipe = Recipe(activation, norm, norm_position, dropout, dropout_position)
        self.input_norm = input_norm(norm, shape[0], spatial=True)
        self.stages = conv_stages(shape, _plan(depth, num_stages, last), recipe)
        self.pool = GlobalMean()
        self.dropout = recipe.before_output()
        self.output = norm.weight(nn.Linear(last, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map standardized images (N, C, H, W) to logits (N, num_classes)."""
        x = self.stages(self.input_norm(x))  # (N, width · 2^(num_stages − 1), H / 2^num_stages, W / 2^num_stages)
        logits: Tensor = self.output(self.dropout(self.pool(x)))
        return logits


def _plan(depth: int, num_stages: int, last: int) -> list[tuple[int, int]]:
    """Return (number of layers, channels) of each stage, ``last`` being the channels of the last one."""
    return [
        (depth // num_stages + (stage < depth % num_stages), -(-last // 2 ** (num_stages - 1 - stage)))
        for stage in range(num_stages)
    ]
