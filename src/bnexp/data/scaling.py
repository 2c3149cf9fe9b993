"""In which units a network sees its inputs: what is subtracted from them, and what divides them."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor

Scaling = Literal["standardized", "unit", "raw"]


def units(inputs: Tensor, scaling: Scaling, max_level: int) -> tuple[Tensor, Tensor]:
    """Return offset a and unit b per channel or feature, float32; a network sees (x − a) / b.

    ==============  ======================================  ===============================================
    scaling         images                                  rows
    ==============  ======================================  ===============================================
    standardized    a = mean, b = standard deviation        the same
    unit            a = 0, b = ``max_level``: [0, 1]        a = min, b = max − min: [0, 1] on these inputs
    raw             a = 0, b = 1                            the same
    ==============  ======================================  ===============================================

    Args:
        inputs: the training inputs, uint8 (N, C, H, W) or float32 (N, F).
        scaling: one of the above. Whatever is constant has b = 1 instead of 0.
        max_level: the largest value that a pixel can have, whether or not one has it.
    """
    num_channels = inputs.shape[1]
    match scaling:
        case "standardized":
            offset, unit = _moments(inputs)
        case "unit" if inputs.is_floating_point():
            offset, high = inputs.aminmax(dim=0)
            unit = high - offset
        case "unit":
            offset, unit = torch.zeros(num_channels), torch.full((num_channels,), float(max_level))
        case "raw":
            offset, unit = torch.zeros(num_channels), torch.ones(num_channels)
        case _:
            assert_never(scaling)
    return offset, torch.where(unit > 0, unit, 1.0)


def _moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (biased), computed in float64.

    Bytes are counted rather than converted: exact, and without a copy eight times as large as the images.
    """
    if inputs.dtype == torch.uint8:
        levels = torch.arange(256, dtype=torch.float64)
        weights = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in inputs.unbind(1)])
        weights = weights / weights.sum(dim=1, keepdim=True, dtype=torch.float64)  # (C, 256)
        mean = weights @ levels
        variance = (weights * (levels - mean[:, None]) ** 2).sum(dim=1)
    else:
        variance, mean = torch.var_mean(inputs.double(), dim=0, correction=0)
    return mean.float(), variance.sqrt().float()
