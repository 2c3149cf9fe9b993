"""How are the values of a tensor spread? A histogram that fits in a line of the record."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NUM_BINS = 32


@dataclass(frozen=True)
class Histogram:
    """Counts of finite values in bins of equal width between the smallest and the largest.

    Attributes:
        low, high: the edges, in the units of the values.
        counts: of each bin; an upper edge belongs to the bin above, but for the last.
        total, squares: sum of the values and of their squares, as TensorBoard wants them.
    """

    low: float
    high: float
    counts: tuple[int, ...]
    total: float
    squares: float


def histogram(values: Tensor, num_bins: int = NUM_BINS) -> Histogram | None:
    """Return the histogram of ``values`` of any shape; None where none of them is finite.

    Where all values are equal, the edges lie ½ on either side.
    """
    finite = values.detach().flatten().float()
    finite = finite[finite.isfinite()]
    if len(finite) == 0:
        return None
    low, high = torch.stack(finite.aminmax()).tolist()
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = torch.histc(finite, num_bins, low, high).long().tolist()
    exact = finite.double() if finite.device.type != "mps" else finite  # which has no float64
    return Histogram(low, high, tuple(counts), float(exact.sum()), float(exact.square().sum()))
