"""What is told of a dataset, against numpy and datasets made for the purpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bnexp.data.dataset import Dataset, Examples
from bnexp.signals.overview import overview


def dataset(train, val=None, test=None, mean=None, std=None) -> Dataset:
    parts = [Examples(inputs, torch.arange(len(inputs)) % 2) for inputs in (train, val, test)]
    channels = train.shape[1]
    mean = torch.zeros(channels) if mean is None else mean
    return Dataset(*parts, ("no", "yes"), mean, torch.ones(channels) if std is None else std)


def rows(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)) * torch.tensor([1.0, 10, 0.5])


def images(count: int, seed: int) -> torch.Tensor:
    return torch.randint(17, (count, 2, 4, 5), generator=torch.Generator().manual_seed(seed)).byte()


def test_counts_are_those_of_each_class_in_each_split() -> None:
    found = overview(dataset(rows(7, 0), rows(2, 1), rows(5, 2)))
    assert found.counts == {"train": {"no": 4, "yes": 3}, "val": {"no": 1, "yes": 1}, "test": {"no": 3, "yes": 2}}


@pytest.mark.parametrize("make", [rows, images])
def test_moments_and_scales_are_numpys(make) -> None:
    train = make(5000, 0)  # more than are taken at a time
    offset, unit = torch.tensor([1.0, 2.0, -3.0])[: train.shape[1]], torch.tensor([2.0, 5.0, 0.1])[: train.shape[1]]
    held = (train.double() - offset) / unit if train.dim() == 2 else train  # a dataset holds rows as they are seen
    found = overview(dataset(held, make(4, 1), make(4, 2), offset, unit))
    values = train.transpose(0, 1).flatten(1).numpy().astype(float)
    assert found.stored.mean == pytest.approx(values.mean())
    assert found.stored.std == pytest.approx(values.std())
    assert (found.stored.low, found.stored.high) == pytest.approx((values.min(), values.max()))
    seen = (values - offset.numpy()[:, None].astype(float)) / unit.numpy()[:, None].astype(float)
    assert found.seen.mean == pytest.approx(seen.mean())
    assert found.seen.std == pytest.approx(seen.std())
    assert (found.seen.low, found.seen.high) == pytest.approx((seen.min(), seen.max()))
    scales = np.sqrt((seen**2).mean(axis=1))
    assert (found.smallest_scale, found.largest_scale) == pytest.approx((scales.min(), scales.max()))


def test_a_feature_that_is_large_beside_its_spread_keeps_its_digits() -> None:
    years = 2000 + rows(100, 0).clamp(-1, 1).double() * 1e-3
    found = overview(dataset(years, years, years))
    assert found.stored.std == pytest.approx(years.numpy().std(), rel=1e-6)


def test_constant_features_are_counted_and_have_no_scale() -> None:
    train = rows(50, 0)
    train[:, 1] = 1e6
    found = overview(dataset(train, rows(4, 1), rows(4, 2)))
    assert found.num_constant == 1
    assert found.largest_scale < 10


def test_examples_of_two_splits_and_repeated_ones_are_counted() -> None:
    train, val, test = images(40, 0), images(10, 1), images(10, 2)
    train[5], train[6] = train[0], train[0]
    val[3] = train[7]
    test[0], test[1], test[2] = train[8], train[8], train[9]
    assert overview(dataset(train, val, test)).duplicates == {"train": 2, "val": 1, "test": 3}


def test_a_negative_zero_is_a_zero() -> None:
    train = rows(5, 0)
    val = train[:1].clone()
    train[0, 0], val[0, 0] = 0.0, -0.0
    assert overview(dataset(train, val, rows(3, 1))).duplicates["val"] == 1
