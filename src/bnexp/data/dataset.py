"""What a dataset is: labelled tensors, split in three, with the units that a network sees them in.

A loader returns :class:`Source` (everything there is, and a test set where the dataset comes with one);
:func:`bnexp.data.split.split` makes :class:`Dataset` of it, the same for every loader.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from bnexp.data.contract import Contract


@dataclass(frozen=True)
class Examples:
    """``num_examples`` inputs with their labels.

    Attributes:
        inputs: images (N, C, H, W), as uint8, or as float32 from 0 to 255 where the files hold more than 8 bits; or
            rows (N, F). The rows of a :class:`Source` are float64 in their own units, NaN where a value is missing;
            those of a :class:`Dataset` are float32 as a network sees them, because Unix times, say, do not fit into 32
            bits before they are scaled.
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
        val: the dataset's own validation set, or None: one is then split off.
        digest: a hash of the files that were read (empty where they were verified, or nothing was read); it enters the
            run's fingerprint in place of the path, so that an edited file is a new question and a moved one is not.
        contract: what the loader made of the files.
        max_level: the largest value that a pixel can have, whether or not one has it (images only).
    """

    examples: Examples
    classes: tuple[str, ...]
    test: Examples | None = None
    val: Examples | None = None
    digest: str = ""
    contract: Contract = field(default_factory=Contract)
    max_level: int = 255


@dataclass(frozen=True)
class Dataset:
    """A dataset ready for training.

    Attributes:
        train, val, test: the three splits, each in random order. ``val`` decides, ``test`` is only reported.
        classes: the name of each class index.
        mean, std: what is subtracted from the images and what divides them, per channel (C,), in the images' own units;
            of rows, per feature (F,), in float64, what has been subtracted and has divided. Mean and standard
            deviation of the training split where the scaling is ``standardized``; :func:`bnexp.data.scaling.units` has
            the others.
        contract: what was made of the files.
    """

    train: Examples
    val: Examples
    test: Examples
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor
    contract: Contract = field(default_factory=Contract)

    @property
    def num_examples(self) -> dict[str, int]:
        """``{"train": …, "val": …, "test": …}``."""
        return {"train": len(self.train), "val": len(self.val), "test": len(self.test)}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) for images, (F,) for rows."""
        return tuple(self.train.inputs.shape[1:])
