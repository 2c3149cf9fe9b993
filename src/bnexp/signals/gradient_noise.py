"""How much of a mini-batch's gradient is signal? Its signal-to-noise ratio over several batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class SignalAndNoise(NamedTuple):
    """‖E g‖² and tr Cov g of each tensor, (num_tensors,) each."""

    signal: Tensor
    noise: Tensor

    def ratio(self, chosen: Sequence[int] | slice = slice(None)) -> Tensor:
        """Return Σ signal / Σ noise over the chosen tensors (a scalar): NaN where both are 0."""
        return self.signal[chosen].sum() / self.noise[chosen].sum()


def signal_and_noise(batches: Iterable[Sequence[Tensor]]) -> SignalAndNoise:
    """Estimate signal and noise of gradients from those of K ≥ 2 mini-batches, without bias.

    Both are sums over a tensor's entries, so that one entry without noise does not decide. ‖ḡ‖² exceeds ‖E g‖² by
    tr Cov g / K on average, which is taken off again: where K batches show no signal, the ratio lies around 0, on
    both sides of it. Mini-batches and not examples, as batch norm leaves an example no gradient of its own.

    Formula: noise = Σ_k ‖g_k − ḡ‖² / (K − 1), signal = ‖ḡ‖² − noise / K
    Source: McCandlish et al. 2018, section 2.2 (noise / signal at batch size 1 is their simple noise scale).

    Args:
        batches: for each mini-batch, the gradient of each tensor.
    """
    mean: list[Tensor] = []
    squares: list[Tensor] = []
    count = 0
    for gradients in batches:
        count += 1
        if count == 1:
            mean, squares = [slope.clone() for slope in gradients], [slope.new_zeros(()) for slope in gradients]
            continue
        for index, slope in enumerate(gradients):
            difference = slope - mean[index]
            mean[index] += difference / count
            squares[index] += (difference * (slope - mean[index])).sum()
    if count < 2:
        raise ValueError(f"{count} mini-batches have no variance; take two or more")
    noise = torch.stack(squares) / (count - 1)
    return SignalAndNoise(torch.stack([slope.square().sum() for slope in mean]) - noise / count, noise)
