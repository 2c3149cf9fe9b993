"""How a source becomes three splits: class by class, reproducibly, and in units that training may know."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from bnexp.data.dataset import Dataset, Examples, Source
from bnexp.data.label_noise import mislabel
from bnexp.data.scaling import Scaling, units
from bnexp.errors import ConfigError
from bnexp.ranges import Interval, Portion, Probability

Share = Annotated[float, Interval(low=0, high=1, open_low=True, open_high=True)]


def split(
    source: Source,
    generator: torch.Generator,
    label_generator: torch.Generator,
    *,
    val_fraction: Share,
    test_fraction: Share,
    subset: Portion,
    label_noise: Probability,
    scaling: Scaling,
) -> Dataset:
    """Divide ``source`` into training, validation and test examples, each with the class proportions of the whole.

    First ``test_fraction`` of all examples becomes the test set, unless the source comes with one; of the rest the
    portion ``subset`` is kept; of that, ``val_fraction`` becomes the validation set and the others train. The test set
    is never made smaller, so results with different subsets are comparable. Shares are rounded class by class, and
    every class has at least one example in each split.

    Each split is in random order, so that consecutive examples are a fair sample. The same state of ``generator`` gives
    the same splits. Missing values (NaN) become the training examples' (lower) median of that feature.

    The portion ``label_noise`` of the training labels, and of those alone, is then made wrong with draws from
    ``label_generator`` (:func:`bnexp.data.label_noise.mislabel`); :func:`bnexp.data.scaling.units` says what the
    ``scaling`` choices are.

    Raises ConfigError where a class has too few examples to be in every split.
    """
    examples, test = source.examples, source.test
    _check_class_sizes(source)
    order = torch.randperm(len(examples), generator=generator)
    if test is None:
        chosen, order = _divide(order, examples.labels, test_fraction, leave=2)
        test = _take(examples, chosen, generator)
    else:
        test = _take(test, torch.arange(len(test)), generator)
    if subset < 1:
        order, _ = _divide(order, examples.labels, subset, at_least=2)
    chosen, order = _divide(order, examples.labels, val_fraction, leave=1)
    train, val = _take(examples, order, generator), _take(examples, chosen, generator)

    if train.inputs.is_floating_point():
        medians = train.inputs.nanmedian(dim=0).values.nan_to_num(0.0)  # 0: the feature is missing in all of train
        train, val, test = (_fill_missing(part, medians) for part in (train, val, test))
    mean, std = units(train.inputs, scaling, source.max_level)
    train = mislabel(train, len(source.classes), label_noise, label_generator)
    return Dataset(train, val, test, source.classes, mean, std)


def _check_class_sizes(source: Source) -> None:
    splits = "training, validation and test" if source.test is None else "training and validation"
    needed = 3 if source.test is None else 2
    counts = torch.bincount(source.examples.labels, minlength=len(source.classes)).tolist()
    for name, count in zip(source.classes, counts, strict=True):
        if count < needed:
            raise ConfigError(
                f"dataset: class '{name}' has too few examples ({count}), {splits} each need one of every class; "
                "add examples or take the class out"
            )


def _divide(order: Tensor, labels: Tensor, share: float, *, at_least: int = 1, leave: int = 0) -> tuple[Tensor, Tensor]:
    """Divide the indices ``order`` in two: the first ``share`` of each class, and what is left.

    A class of n gives round(share · n) indices to the first part, but ``at_least`` so many, and leaves ``leave``.
    """
    by_class = order[labels[order].argsort(stable=True)]
    counts = torch.bincount(labels[order]).tolist()
    is_first = torch.zeros(len(labels), dtype=torch.bool)
    for members in by_class.split(counts):
        is_first[members[: max(at_least, min(round(share * len(members)), len(members) - leave))]] = True
    return order[is_first[order]], order[~is_first[order]]


def _take(examples: Examples, indices: Tensor, generator: torch.Generator) -> Examples:
    """Pick the examples at ``indices`` in random order (:func:`_divide` takes the classes' turns unevenly)."""
    indices = indices[torch.randperm(len(indices), generator=generator)]
    return Examples(examples.inputs[indices], examples.labels[indices])


def _fill_missing(examples: Examples, values: Tensor) -> Examples:
    return Examples(torch.where(examples.inputs.isnan(), values, examples.inputs), examples.labels)
