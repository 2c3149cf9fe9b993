"""How the columns of a table become numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnexp.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

MAX_CATEGORIES = 256


def encode(frame: pd.DataFrame) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return float32 rows (N, F) and a line about each thing that was done to the columns.

    * Numbers stay as they are. A missing one stays NaN until :func:`bnexp.data.split.split` fills it with the median
      of the training examples (a median of all rows would tell training about the test set), and its column is
      followed by one more that is 1 where the number was missing and 0 elsewhere.
    * ``true`` and ``false`` become 1 and 0.
    * Text becomes one column of zeros and ones per category, the categories sorted; missing text is a category.

    Raises ConfigError, naming the column, for text among numbers, infinite values, a column without any value, and
    text with more than ``MAX_CATEGORIES`` different values.
    """
    blocks: list[NDArray[np.float32]] = []
    missing: dict[str, int] = {}
    categories: dict[str, int] = {}
    for name in frame.columns:
        column = frame[name]
        num_missing = int(column.isna().sum())
        if num_missing == len(column):
            raise ConfigError(f"dataset.path: column '{name}' has no values; add it to dataset.drop")
        if num_missing:
            missing[name] = num_missing
        numbers = _numbers(column)
        if numbers is None:
            blocks.append(_one_hot(column))
            categories[name] = blocks[-1].shape[1]
        else:
            blocks.append(numbers[:, None])
            if num_missing:
                blocks.append(np.isnan(numbers[:, None]).astype(np.float32))
    return np.concatenate(blocks, axis=1), _notes(missing, categories)


def _numbers(column: pd.Series) -> NDArray[np.float32] | None:
    """Return the numbers of a column, NaN where missing, or None where it holds categories."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        present = column.dropna().astype(str)
        truth = present.str.lower().map({"true": 1.0, "false": 0.0})
        parsed = truth if truth.notna().all() else pd.to_numeric(present, errors="coerce")
        texts = present[parsed.isna()]
        if 2 * len(texts) >= len(present):
            return None
        if len(texts):
            raise ConfigError(
                f"dataset.path: column '{column.name}', row {texts.index[0] + 1}: '{texts.iloc[0]}' among numbers; "
                "mend it, leave it empty if it is missing, or add the column to dataset.drop"
            )
        column = parsed.reindex(column.index)
    with np.errstate(over="ignore"):
        numbers = column.to_numpy(dtype=np.float32)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise ConfigError(
            f"dataset.path: column '{column.name}', row {column.index[infinite[0]] + 1}: "
            f"{column.iloc[infinite[0]]} is no finite number of 32 bits; mend it, or leave it empty if it is missing"
        )
    return numbers


def _one_hot(column: pd.Series) -> NDArray[np.float32]:
    """Return zeros and ones of shape (N, categories), the missing ones in the last column where there are any."""
    import pandas as pd

    present = column.dropna().astype(str)
    values = sorted(present.unique())
    if len(values) > MAX_CATEGORIES:
        raise ConfigError(
            f"dataset.path: column '{column.name}' has {len(values)} different texts, more than {MAX_CATEGORIES} "
            "categories; add it to dataset.drop"
        )
    codes = pd.Categorical(present.reindex(column.index), categories=values).codes  # -1, the last, where missing
    rows = np.zeros((len(column), len(values) + int(len(present) < len(column))), dtype=np.float32)
    rows[np.arange(len(column)), codes] = 1
    return rows


def _notes(missing: dict[str, int], categories: dict[str, int]) -> tuple[str, ...]:
    notes = []
    if missing:
        places = ", ".join(f"{name} ({count})" for name, count in missing.items())
        notes.append(
            f"missing values in {places}: numbers filled with the median of the training examples, and marked in one "
            "more column each; text counted as a category"
        )
    if categories:
        places = ", ".join(f"{name} ({count})" for name, count in categories.items())
        notes.append(f"text turned into one column per category: {places}")
    return tuple(notes)
