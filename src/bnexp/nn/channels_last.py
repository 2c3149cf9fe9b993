"""Normalizing images in the memory format ``channels_last`` on a CPU, where PyTorch's own functions lose digits.

Formula: f(x) = f(x − s) for any shift s that f takes away again; s, the mean, counts as a constant, because f's
    derivatives by it are 0
Source: PyTorch 2.15, ``aten/src/ATen/native/cpu``: group norm takes its variance as E[x²] − E[x]², whose error in units
    of the deviation grows with (mean/deviation)²; batch norm adds a channel's values up one by one in float32, so that
    its error grows with their number too. With contiguous images, and on GPUs, neither happens.

So PyTorch's functions go first, with the bits that they have, and once more on x − s where the mean lay far from 0;
an ordinary network pays nothing for that. The numbers: docs/norms.md. In bfloat16 inputs have three digits anyway.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

FAR = 4.0
"""Standard deviations that a mean may lie away from 0: the error of group norm is then 3e-5 of one, at most."""

MOST_VALUES = 2**18
"""Values of a channel that batch norm may add up one by one: its error is then 3e-4 of the deviation, at most."""


def loses_digits(x: Tensor) -> bool:
    """Whether PyTorch's norms may lose digits of ``x`` (N, C, …). What ``torch.compile`` makes of them does not."""
    is_exact = x.dtype in (torch.float32, torch.float64)
    return x.device.type == "cpu" and is_exact and not x.is_contiguous() and not torch.compiler.is_compiling()


def group_norm(x: Tensor, num_groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Return ``torch.nn.functional.group_norm`` of ``x`` (N, C, …), to the digits of its contiguous copy."""
    if not loses_digits(x):
        return F.group_norm(x, num_groups, weight, bias, eps)
    num_examples, num_channels = x.shape[:2]
    sizes = (num_examples, num_channels, x[0, 0].numel(), num_groups, eps)
    y, mean, inverse_std = torch.native_group_norm(x, weight, bias, *sizes)
    if _is_far(mean, inverse_std):
        shift = mean.detach().repeat_interleave(num_channels // num_groups, dim=1)
        y, _, _ = torch.native_group_norm(x - _per_channel(shift, x), weight, bias, *sizes)
    return y


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    momentum: float,
    eps: float,
) -> Tensor:
    """Return ``torch.nn.functional.batch_norm`` of ``x`` (N, C, …) by its own statistics; update the running ones.

    The digits are those of the contiguous copy of ``x``, up to an error of 3e-4 of the deviation.
    """
    if not loses_digits(x):
        return F.batch_norm(x, running_mean, running_var, weight, bias, training=True, momentum=momentum, eps=eps)
    if x.numel() // x.shape[1] > MOST_VALUES:
        y = batch_norm(x.contiguous(), running_mean, running_var, weight, bias, momentum=momentum, eps=eps)
        return torch.empty_like(x).copy_(y)

    def normalized(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.native_batch_norm(x, weight, bias, own_mean, own_var, True, momentum, eps)

    # PyTorch moves copies of the running statistics: it may have to do so twice, and needs what it moved for backward.
    own_mean, own_var = _copy(running_mean), _copy(running_var)
    y, mean, inverse_std = normalized(x)
    shift = torch.zeros_like(mean)
    if _is_far(mean, inverse_std):
        shift = mean.detach()
        own_mean, own_var = None if running_mean is None else running_mean - shift, _copy(running_var)
        y, _, _ = normalized(x - _per_channel(shift[None], x))
    if running_mean is not None and own_mean is not None:
        running_mean.copy_(own_mean + shift)
    if running_var is not None and own_var is not None:
        running_var.copy_(own_var)
    return y


def _copy(statistics: Tensor | None) -> Tensor | None:
    return None if statistics is None else statistics.clone()


def _is_far(mean: Tensor, inverse_std: Tensor) -> bool:
    return bool((mean.detach() * inverse_std.detach()).abs().max() > FAR)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    """Give values of shape (N, C) or (1, C) the dimensions of ``x`` (N, C, …)."""
    return values.view(*values.shape, *(1,) * (x.dim() - 2))
