"""In which units a network sees its inputs: what is subtracted from them, and what divides them."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor

Scaling = Literal["standardized", "unit", "raw"]

CHUNK = 256  # images in float64 at a time


def units(inputs: Tensor, scaling: Scaling, max_level: int) -> tuple[Tensor, Tensor]:
    """Return offset a and unit b per channel, float32, or per feature, float64; a network sees (x − a) / b.

    ==============  ======================================  ===============================================
    scaling         images                                  rows
    ==============  ======================================  ===============================================
    standardized    a = mean, b = standard deviation        the same
    unit            a = 0, b = ``max_level``: [0, 1]        a = min, b = max − min: [0, 1] on these inputs
    raw             a = 0, b = 1                            the same
    ==============  ======================================  ===============================================

    Args:
        inputs: the training inputs, images (N, C, H, W) of bytes or float32, or float64 (N, F).
        scaling: one of the above. Whatever is constant has b = 1 instead of 0.
        max_level: the largest value that a pixel can have, whether or not one has it.
    """
    num_channels, is_rows = inputs.shape[1], inputs.dim() == 2
    kind = torch.float64 if is_rows else torch.float32
    match scaling:
        case "standardized":
            offset, unit = _moments(inputs)
        case "unit" if is_rows:
            offset, high = inputs.aminmax(dim=0)
            unit = high - offset
        case "unit":
            offset, unit = torch.zeros(num_channels), torch.full((num_channels,), float(max_level))
        case "raw":
            offset, unit = torch.zeros(num_channels), torch.ones(num_channels)
        case _:
            assert_never(scaling)
    return offset.to(kind), torch.where(unit > 0, unit, 1.0).to(kind)


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
        return mean, variance.sqrt()
    if inputs.dim() == 4:
        return _moments_of_levels(inputs)
    # Division by a power of two changes no digit, and keeps the squares of very large and very small numbers in range.
    power = torch.exp2(torch.frexp(inputs.abs().amax(dim=0)).exponent.double().clamp_min(-1000))
    variance, mean = torch.var_mean(inputs / power, dim=0, correction=0)
    # A sum of equal numbers is rounded, so the spread of a constant may be small and not 0.
    spread = variance.sqrt().where(inputs.amax(dim=0) > inputs.amin(dim=0), 0.0)
    return mean * power, spread * power


def _moments_of_levels(images: Tensor) -> tuple[Tensor, Tensor]:
    """The same for images of float32, some at a time."""
    mean = images.mean(dim=(0, 2, 3), dtype=torch.float64)
    total = torch.zeros_like(mean)
    for some in images.split(CHUNK):
        total += (some.double() - mean.view(-1, 1, 1)).square().sum(dim=(0, 2, 3))
    return mean, (total / (images.numel() / len(mean))).sqrt()
