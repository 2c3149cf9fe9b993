"""What the data are, before anything is trained on them: counts, scales, and examples that are in two splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bnexp.data.dataset import Dataset, Examples

CHUNK = 2048  # examples in float64 at a time


@dataclass(frozen=True)
class Values:
    """Moments and range of inputs, over all channels or features together."""

    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class Overview:
    """What a dataset holds.

    Attributes:
        input_shape: (C, H, W) for images, (F,) for rows.
        counts: examples of each class in each split, ``{"train": {"cat": 3, …}, "val": …, "test": …}``.
        stored: the training inputs in their own units.
        seen: the same as a network gets them, (x − offset) / unit; before augmentation.
        largest_scale, smallest_scale: root mean square of the channel or feature, as seen, that has the largest and the
            smallest one; those that are constant do not count.
        num_constant: channels or features with one value in all training examples.
        duplicates: examples of each split whose inputs are, to the last bit, those of an earlier example of the
            training split.
    """

    input_shape: tuple[int, ...]
    counts: dict[str, dict[str, int]]
    stored: Values
    seen: Values
    largest_scale: float
    smallest_scale: float
    num_constant: int
    duplicates: dict[str, int]


def overview(dataset: Dataset) -> Overview:
    """Look at every example of a dataset once."""
    splits = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    mean, std, low, high = _moments(dataset.train.inputs)
    varies = high > low
    offset, unit = dataset.mean.double(), dataset.std.double()
    if len(dataset.input_shape) == 1:  # rows are kept as they are seen
        mean, std, low, high = mean * unit + offset, std * unit, low * unit + offset, high * unit + offset
    seen_mean, seen_std = (mean - offset) / unit, std / unit
    scales = (seen_mean.square() + seen_std.square()).sqrt()[varies]
    return Overview(
        input_shape=dataset.input_shape,
        counts={name: _counts(part, dataset.classes) for name, part in splits.items()},
        stored=_together(mean, std, low, high),
        seen=_together(seen_mean, seen_std, (low - offset) / unit, (high - offset) / unit),
        largest_scale=float(scales.max()) if len(scales) else 0.0,
        smallest_scale=float(scales.min()) if len(scales) else 0.0,
        num_constant=int((~varies).sum()),
        duplicates=_duplicates(splits),
    )


def _counts(examples: Examples, classes: tuple[str, ...]) -> dict[str, int]:
    found: list[int] = torch.bincount(examples.labels, minlength=len(classes)).tolist()
    return dict(zip(classes, found, strict=True))


def _moments(inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return mean, (biased) standard deviation, lowest and highest value of each channel or feature, in float64."""
    start = inputs[0].flatten(1)[:, 0].double() if inputs.dim() > 2 else inputs[0].double()
    total, squares = torch.zeros_like(start), torch.zeros_like(start)
    low, high, count = start.clone(), start.clone(), 0
    for chunk in inputs.split(CHUNK):
        values = chunk.transpose(0, 1).flatten(1).double()  # (C, values of a channel)
        low, high = torch.minimum(low, values.amin(1)), torch.maximum(high, values.amax(1))
        values = values - start[:, None]  # a year is large beside its spread: its square would lose the digits
        total, squares, count = total + values.sum(1), squares + values.square().sum(1), count + values.shape[1]
    mean = total / count
    variance = (squares / count - mean.square()).clamp_min(0)
    return mean + start, variance.sqrt(), low, high


def _together(mean: Tensor, std: Tensor, low: Tensor, high: Tensor) -> Values:
    """Pool channels, which have as many values each."""
    variance = std.square().mean() + mean.var(correction=0)
    return Values(float(mean.mean()), float(variance.sqrt()), float(low.min()), float(high.max()))


def _duplicates(splits: dict[str, Examples]) -> dict[str, int]:
    training: set[bytes] = set()
    repeated = 0
    for key in _keys(splits["train"].inputs):
        repeated += key in training
        training.add(key)
    others = {name: sum(key in training for key in _keys(splits[name].inputs)) for name in ("val", "test")}
    return {"train": repeated, **others}


def _keys(inputs: Tensor) -> Iterator[bytes]:
    for chunk in inputs.split(CHUNK):
        rows = chunk.flatten(1) + 0  # −0 becomes 0: they are equal and have other bits
        yield from (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows.numpy())
