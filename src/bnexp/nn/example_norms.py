"""Modules that normalize each example by itself, the same in training and at test time, which torch.nn lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.errors import ConfigError
from bnexp.nn.channels_last import group_norm


def _require_positions(choice: str, x: Tensor) -> None:
    if x.shape[2:].numel() == 1:
        raise ConfigError(
            f"norm={choice} takes its statistics over the positions of one channel of one image: "
            "1×1 feature maps have one; use a model with fewer pools (convnet: model.num_stages) or norm=layer"
        )


class InstanceNorm(nn.InstanceNorm2d):
    """``torch.nn.InstanceNorm2d`` with bnexp's error line for 1×1 feature maps, and with right gradients of one image.

    PyTorch 2.15 computes all gradients wrong where a batch of 1 gets its gradient in ``channels_last``.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch.nn's name)
        """Normalize ``input`` (N, C, H, W); raise :class:`ConfigError` on 1×1 feature maps."""
        if len(input) > 1 or self.track_running_stats:
            return super().forward(input)
        self._check_input_dim(input)
        return group_norm(input, self.num_features, self.weight, self.bias, self.eps)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002  (torch.nn's name)
        _require_positions("instance", input)


class GroupNorm(nn.GroupNorm):
    """``torch.nn.GroupNorm`` that loses no digits of images in ``channels_last`` (:mod:`bnexp.nn.channels_last`)."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch.nn's name)
        """Normalize ``input`` (N, C, …)."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """Divide each example by the root mean square of all its values, and scale each channel: (N, C, …) → (N, C, …).

    On (N, C) this is ``torch.nn.RMSNorm``, which has no form with one weight per channel for images, and which warns
    under autocast that its weight is not bfloat16; here the weight is applied afterwards.
    """

    def __init__(self, num_features: int, *, eps: float, affine: bool) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``x`` (N, C, …)."""
        y = F.rms_norm(x, x.shape[1:], eps=self.eps)
        return y if self.weight is None else (y * self.weight.view(-1, *(1,) * (x.ndim - 2))).to(y.dtype)

    def extra_repr(self) -> str:
        """Show the size and eps."""
        return f"{self.num_features}, eps={self.eps}"


class FilterResponseNorm(nn.Module):
    """Divide each channel of each image by its root mean square; scale, shift and, with ``threshold``, cut from below.

    A dense layer has one value per channel, x / √(x² + ε): almost its sign, without a gradient where ε is small. There
    ε is eps + |ε_l| with ε_l learned from 10⁻⁴, as the paper does it for fully connected layers.
    """

    def __init__(self, num_features: int, *, spatial: bool, eps: float, threshold: bool) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.threshold = nn.Parameter(torch.zeros(num_features)) if threshold else None
        self.learned_eps = None if spatial else nn.Parameter(torch.tensor(1e-4))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``x`` (N, C) or (N, C, H, W); raise :class:`ConfigError` on 1×1 feature maps."""
        # In bfloat16 the squares would keep three digits, under autocast too.
        power = x.to(self.weight.dtype).square()
        if self.learned_eps is None:
            _require_positions("filter_response", x)
            power = power.mean((2, 3), keepdim=True) + self.eps
        else:
            power = power + self.eps + self.learned_eps.abs()
        shape = (-1, *(1,) * (x.ndim - 2))
        y = x * power.rsqrt() * self.weight.view(shape) + self.bias.view(shape)
        if self.threshold is not None:
            y = torch.maximum(y, self.threshold.view(shape))
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        """Show the size, eps and whether there is a threshold."""
        return f"{self.num_features}, eps={self.eps}, threshold={self.threshold is not None}"
