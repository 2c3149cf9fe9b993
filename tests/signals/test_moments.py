"""Moments against numpy in double precision, where squares overflow and vanish in single precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bnexp.signals.moments import length, mean_and_std


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
def test_moments_hold_where_the_squares_are_no_numbers(scale: float) -> None:
    values = ((torch.randn(40, 50, generator=torch.Generator().manual_seed(0)) + 0.5) * scale).float()
    exact = values.double().numpy()
    mean, std = mean_and_std(values)
    assert mean.item() == pytest.approx(exact.mean(), rel=1e-5)
    assert std.item() == pytest.approx(exact.std(), rel=1e-5)
    assert length(values).item() == pytest.approx(np.sqrt((exact**2).sum()), rel=1e-5)


def test_zeros_have_no_length_and_constants_no_spread() -> None:
    assert length(torch.zeros(3)).item() == 0
    mean, std = mean_and_std(torch.full((4, 4), 2.5))
    assert (mean.item(), std.item()) == (2.5, 0)


def test_what_overflowed_is_no_finite_number() -> None:
    values = torch.tensor([1.0, torch.inf])
    assert not mean_and_std(values)[1].isfinite()
    assert not length(values).isfinite()
