"""Percentiles against NumPy's, and of a distribution that is known."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch

from bnexp.signals.percentiles import MOST_VALUES, percentiles


def test_few_values_give_the_percentiles_of_numpy() -> None:
    values = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    assert percentiles(values).tolist() == pytest.approx(np.percentile(values.numpy(), [15, 50, 85]).tolist())


def test_many_values_give_those_of_their_distribution() -> None:
    # Every column has a mean of its own, so that a stride in step with the columns would see a few of them.
    column = torch.arange(64.0).expand(40, 32, 64, 64)
    noise = torch.randn(column.shape, generator=torch.Generator().manual_seed(0))
    assert column.numel() > MOST_VALUES
    found = percentiles(column + noise)
    assert found.tolist() == pytest.approx(np.percentile((column + noise).numpy(), [15, 50, 85]).tolist(), abs=0.3)
    normal = [NormalDist().inv_cdf(share) for share in (0.15, 0.5, 0.85)]
    assert percentiles(noise).tolist() == pytest.approx(normal, abs=0.03)


def test_the_memory_format_plays_no_part() -> None:
    values = torch.randn(8, 16, 40, 40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(percentiles(values), percentiles(values.to(memory_format=torch.channels_last)))
