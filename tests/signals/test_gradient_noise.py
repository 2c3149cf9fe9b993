"""Signal and noise of gradients, against NumPy on known gradients and the moments they were drawn with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bnexp.signals.gradient_noise import signal_and_noise


def test_the_ratio_is_the_squared_mean_over_the_variance_of_the_batches() -> None:
    draws = np.random.default_rng(0)
    one, other = draws.normal(2.0, 1.0, (5, 3, 4)), draws.normal(-1.0, 3.0, (5, 6))
    found = signal_and_noise([torch.tensor(a), torch.tensor(b)] for a, b in zip(one, other, strict=True))
    variances = [values.var(0, ddof=1).sum() for values in (one, other)]
    signals = [(values.mean(0) ** 2).sum() - var / 5 for values, var in zip((one, other), variances, strict=True)]
    assert found.noise.tolist() == pytest.approx(variances)
    assert found.signal.tolist() == pytest.approx(signals)
    assert float(found.ratio()) == pytest.approx(sum(signals) / sum(variances))
    assert float(found.ratio([1])) == pytest.approx(signals[1] / variances[1])


def test_the_estimate_of_the_signal_is_unbiased_also_with_two_batches() -> None:
    draws = torch.Generator().manual_seed(0)
    mean = torch.tensor([0.5, -0.5, 1.0], dtype=torch.float64)
    found = [
        signal_and_noise([[mean + torch.randn(3, generator=draws, dtype=torch.float64)] for _ in range(2)])
        for _ in range(4000)
    ]
    signals = torch.stack([one.signal[0] for one in found])
    error = float(signals.std()) / 4000**0.5
    assert float(signals.mean()) == pytest.approx(1.5, abs=4 * error)
    assert float(torch.stack([one.noise[0] for one in found]).mean()) == pytest.approx(3.0, abs=0.2)


def test_equal_gradients_have_no_noise_and_one_batch_has_no_variance() -> None:
    gradient = [torch.ones(3)]
    assert signal_and_noise([gradient] * 4).noise.tolist() == [0]
    with pytest.raises(ValueError, match="two or more"):
        signal_and_noise([gradient])
