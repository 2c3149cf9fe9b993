"""What a dataset is: labelled tensors, split in three, with the units that a network sees them in.

A loader returns :class:`Source` (everything there is, and a test set where the dataset comes with one);
:func:`bnexp.data.split.split` makes :class:`Dataset` of it, the same for every loader.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """``num_examples`` inputs with their labels.

    Attributes:
        inputs: images as uint8 of shape (N, C, H, W), or rows as float32 of shape (N, F). In the rows of a
            :class:`Source` NaN is a missing value; a :class:`Dataset` has none.
        labels: int64 class indices of shape (N,).
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Source:
    """What a loader found.

    Attributes:
        examples: all labelled examples, or the training part where the dataset comes with a test set.
        classes: the name of each class index.
        test: the dataset's own test set, or None: one is then split off.
        digest: a hash of the user's files (empty for published datasets, whose content never changes); it enters the
            run's fingerprint in place of the path, so that an edited file is a new question and a moved one is not.
        notes: one line each about what the loader did to the data (missing values filled, columns encoded, …).
        max_level: the largest value that a pixel can have, whether or not one has it (images only).
    """

    examples: Examples
    classes: tuple[str, ...]
    test: Examples | None = None
    digest: str = ""
    notes: tuple[str, ...] = ()
    max_level: int = 255


@dataclass(frozen=True)
class Dataset:
    """A dataset ready for training.

    Attributes:
        train, val, test: the three splits, each in random order. ``val`` decides, ``test`` is only reported.
        classes: the name of each class index.
        mean, std: what is subtracted from the inputs and what divides them, per channel (C,) or feature (F,), in the
            inputs' own units. Mean and standard deviation of the training split where the scaling is ``standardized``;
            :func:`bnexp.data.scaling.units` has the others.
    """

    train: Examples
    val: Examples
    test: Examples
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor

    @property
    def num_examples(self) -> dict[str, int]:
        """``{"train": …, "val": …, "test": …}``."""
        return {"train": len(self.train), "val": len(self.val), "test": len(self.test)}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) for images, (F,) for rows."""
        return tuple(self.train.inputs.shape[1:])
