"""Mean, standard deviation and length of tensors whose squares may overflow or vanish in their own precision.

Signals that explode or vanish are what bnexp looks for: 10⁻²⁵ is a number in float32, its square is not.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor


def mean_and_std(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of all ``values``, in their own units.

    Formula: μ = Σ x / n, σ = √(Σ (x − μ)² / n), of x divided by the largest |x|, which then multiplies the result
    """
    scaled, scale = _scaled(values)
    mean = scaled.mean()
    # Several times as fast as torch.std_mean, which takes one value after the other.
    std = torch.linalg.vector_norm(scaled - mean) / sqrt(scaled.numel())
    return mean * scale, std * scale


def length(values: Tensor) -> Tensor:
    """Return the Euclidean length √(Σ x²) of all ``values`` together."""
    scaled, scale = _scaled(values)
    found: Tensor = torch.linalg.vector_norm(scaled) * scale
    return found


def _scaled(values: Tensor) -> tuple[Tensor, Tensor]:
    values = values.detach().to(torch.promote_types(values.dtype, torch.float32))
    largest = values.abs().amax()
    scale = torch.where((largest > 0) & largest.isfinite(), largest, torch.ones_like(largest))
    return values / scale, scale
