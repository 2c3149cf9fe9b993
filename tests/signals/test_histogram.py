"""Histograms against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bnexp.signals.histogram import histogram


def test_counts_and_edges_are_those_of_numpy() -> None:
    values = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    found = histogram(values, num_bins=10)
    assert found is not None
    counts, edges = np.histogram(values.numpy().astype(np.float32), bins=10)
    assert found.counts == tuple(counts)
    assert (found.low, found.high) == pytest.approx((edges[0], edges[-1]))
    assert found.total == pytest.approx(float(values.double().sum()))
    assert found.squares == pytest.approx(float(values.double().square().sum()))


def test_values_that_are_not_finite_are_left_out() -> None:
    found = histogram(torch.tensor([0.0, 1.0, torch.nan, torch.inf]), num_bins=2)
    assert found is not None
    assert (found.low, found.high, found.counts) == (0, 1, (1, 1))
    assert histogram(torch.full((3,), torch.nan)) is None


def test_equal_values_lie_in_the_middle_of_a_bin_of_width_one() -> None:
    found = histogram(torch.full((7,), 2.0), num_bins=1)
    assert found is not None
    assert (found.low, found.high, found.counts) == (1.5, 2.5, (7,))
