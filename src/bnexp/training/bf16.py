"""Whether bfloat16 convolutions are right and worth it on this CPU; they were neither everywhere."""

from __future__ import annotations

import time
from functools import cache
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from bnexp.errors import ConfigError

LARGEST_ERROR = 0.02
"""Of a result, relative to its norm. Rounding both factors to 8 bits makes about 0.003."""

REPEATS = 5


@cache
def probe_bf16() -> tuple[str, ...]:
    """Compare a small convolution and its gradients with float32; return a line where it is slower.

    Takes some hundredths of a second, once in a process.

    Raises:
        ConfigError: where the results are wrong.
    """
    wide, seconds = _convolve(enabled=False)
    narrow, narrow_seconds = _convolve(enabled=True)
    error = max(float((a - b).norm() / a.norm()) for a, b in zip(wide, narrow, strict=True))
    if not error < LARGEST_ERROR:
        raise ConfigError(
            f"training.precision=bf16: this CPU's bfloat16 convolutions are wrong by {error:.0%} with this version of "
            "PyTorch; use training.precision=fp32"
        )
    if narrow_seconds <= seconds:
        return ()
    return ("bfloat16 convolutions are slower than float32 ones on this CPU; training.precision=fp32 is faster",)


def _convolve(*, enabled: bool) -> tuple[list[Tensor], float]:
    """Return output and gradients of a convolution as float32, and the median of its seconds."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(16, 32, 16, 16, generator=generator).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(64, 32, 3, 3, generator=generator).to(memory_format=torch.channels_last).requires_grad_()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = F.conv2d(images, weight, padding=1)
        gradients = torch.autograd.grad(output.float().square().mean(), [images, weight])
        seconds.append(time.perf_counter() - started)
    return [output.detach().float(), *gradients], median(seconds)
