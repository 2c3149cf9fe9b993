"""Plain convolutional stages, each closed by a pool: the trunk of ``convnet`` and ``vgg``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bnexp.models.layers import Hidden, Recipe, conv3x3


class Stage(nn.Sequential):
    """Hidden layers and a max-pool behind them.

    A ReLU directly in front of the pool is computed behind it, on a quarter of the values: with x the values under the
    window, max(relu(x)) = relu(max(x)), and the gradient goes to the same one of them, or to none where all are
    negative. So outputs and gradients are the same, to the last bit; second derivatives are summed up in another order
    in places. Where a hook listens, each module has its turn.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch.nn's name)
        """Map (N, C, H, W) to (N, last channels, ⌊H / 2⌋, ⌊W / 2⌋), where a side of 1 stays."""
        x = input
        for module in self._in_order():
            x = module(x)
        return x

    def _in_order(self) -> list[nn.Module]:
        modules = [*self]
        match modules:
            case [*others, Hidden() as last, nn.MaxPool2d() as pool]:
                *parts, function = last
                if type(function) is nn.ReLU and not any(map(_has_hooks, (last, function, pool))):
                    return [*others, *parts, pool, function]
        return modules


def _has_hooks(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


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
        stages.append(Stage(*layers))
    return nn.Sequential(*stages)
