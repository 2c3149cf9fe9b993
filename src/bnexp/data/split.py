"""How a source becomes three splits: class by class, reproducibly, and in units that training may know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from bnexp.data.bits import with_losses
from bnexp.data.contract import Contract
from bnexp.data.dataset import Dataset, Examples, Source
from bnexp.data.items import item
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
    portion ``subset`` is kept; of that, ``val_fraction`` becomes the validation set, unless the source comes with one,
    and the others train. Test set and validation set of a source are never made smaller, so results with different
    subsets are comparable. Shares are rounded class by class, and every class has at least one example in each split.

    Each split is in random order, so that consecutive examples are a fair sample. The same state of ``generator`` gives
    the same splits. Missing values (NaN) become the training examples' (lower) median of that feature. Rows are then
    scaled in 64 bits, and numbers that 32 bits do not tell apart any more are counted in the contract.

    The portion ``label_noise`` of the training labels, and of those alone, is then made wrong with draws from
    ``label_generator`` (:func:`bnexp.data.label_noise.mislabel`); :func:`bnexp.data.scaling.units` says what the
    ``scaling`` choices are.

    Raises ConfigError where a class has too few examples to be in every split, or a scaled row leaves 32 bits.
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
        order, _ = _divide(order, examples.labels, subset, at_least=2 if source.val is None else 1)
    if source.val is None:
        chosen, order = _divide(order, examples.labels, val_fraction, leave=1)
        train, val = _take(examples, order, generator), _take(examples, chosen, generator)
    else:
        train = _take(examples, order, generator)
        val = _take(source.val, torch.arange(len(source.val)), generator)

    contract = described(source)
    if train.inputs.dim() == 2:
        medians = train.inputs.nanmedian(dim=0).values.nan_to_num(0.0)  # 0: the feature is missing in all of train
        train, val, test = (_fill_missing(part, medians) for part in (train, val, test))
        mean, std = units(train.inputs.double(), scaling, source.max_level)
        parts = (train, val, test)
        train, val, test = scaled = [_scaled(part, mean, std, scaling, contract.features) for part in parts]
        contract = with_losses(contract, [part.inputs for part in parts], [part.inputs for part in scaled])
    else:
        mean, std = units(train.inputs, scaling, source.max_level)
    train = mislabel(train, len(source.classes), label_noise, label_generator)
    sizes = {"train": len(train), "val": len(val), "test": len(test)}
    contract = replace(contract, examples=sizes, input_shape=tuple(train.inputs.shape[1:]))
    return Dataset(train, val, test, source.classes, mean, std, contract)


def described(source: Source) -> Contract:
    """Return the contract of a source with the number of examples of each class."""
    parts = [part for part in (source.examples, source.val, source.test) if part is not None]
    counts = torch.bincount(torch.cat([part.labels for part in parts]), minlength=len(source.classes)).tolist()
    return replace(source.contract, classes=dict(zip(source.classes, counts, strict=True)))


def _check_class_sizes(source: Source) -> None:
    own = ["training", *["validation"] * (source.val is None), *["test"] * (source.test is None)]
    splits, needed = " and ".join([", ".join(own[:-1]), own[-1]] if len(own) > 1 else own), len(own)
    counts = torch.bincount(source.examples.labels, minlength=len(source.classes)).tolist()
    for name, count in zip(source.classes, counts, strict=True):
        if count < needed:
            raise ConfigError(
                f"dataset: class '{name}' has too few examples ({count}), {splits} "
                f"{'each need' if needed > 1 else 'needs'} one of every class; add examples or take the class out"
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


def _scaled(examples: Examples, mean: Tensor, std: Tensor, scaling: Scaling, features: Sequence[str]) -> Examples:
    """Bring rows into the units of a network, in 64 bits, and then into the 32 bits that it computes in."""
    rows = ((examples.inputs - mean) / std).float()
    if not rows.isfinite().all():
        row, index = (~rows.isfinite()).nonzero()[0].tolist()
        name = features[index] if features else f"feature {index}"
        value = float(examples.inputs[row, index])
        raise ConfigError(
            f"dataset.scaling={scaling}: {value:.6g} of '{name}' is no number of 32 bits after scaling; "
            + ("use dataset.scaling=standardized" if scaling == "raw" else f"write {item('dataset.drop', [name])}")
        )
    return Examples(rows, examples.labels)


def _fill_missing(examples: Examples, values: Tensor) -> Examples:
    return Examples(torch.where(examples.inputs.isnan(), values, examples.inputs), examples.labels)
