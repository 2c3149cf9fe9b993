"""How the target column of a table becomes classes."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bnexp.data.cells import MISSING_WORDS, Cells
from bnexp.data.columns import alike_warnings
from bnexp.data.names import shown
from bnexp.errors import ConfigError

MAX_CLASSES = 100

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)


def classes_of(cells: Cells) -> tuple[NDArray[np.int64], tuple[str, ...], list[str]]:
    """Return the class index of each row, the names of the classes, and a line about each doubtful one.

    A class is a text, blanks at its ends aside: ``01`` and ``1`` are two, and ``None`` is one. The classes are sorted
    as numbers where all are some, else as texts. No field may be empty.

    Raises ConfigError where there are too few classes, or too many for the rows.
    """
    names = sorted(cells.texts, key=_number if all(map(_NUMBER.fullmatch, cells.texts)) else str)
    if len(names) < 2:
        raise ConfigError(
            f"dataset.target={shown(cells.name)} has too few distinct values ({len(names)}); "
            "choose a column with at least two classes"
        )
    if len(names) > min(MAX_CLASSES, len(cells) / 3):
        raise ConfigError(
            f"dataset.target={shown(cells.name)} has {len(names)} distinct values in {len(cells)} rows, which is no "
            f"class; choose a column with at most {MAX_CLASSES} values and three rows of each"
        )
    place = {name: index for index, name in enumerate(names)}
    labels = np.array([place[text] for text in cells.texts], dtype=np.int64)[cells.codes]
    return (
        labels,
        tuple(names),
        [*_same_numbers(cells.name, names), *_words(cells), *alike_warnings("the classes", names)],
    )


def _number(text: str) -> tuple[Decimal, str]:
    return Decimal(text), text


def _same_numbers(column: str, names: list[str]) -> list[str]:
    if not all(map(_NUMBER.fullmatch, names)):
        return []
    return [
        f"the classes '{shown(one)}' and '{shown(other)}' of {shown(column)} are the same number and are kept apart"
        for one, other in pairwise(names)
        if Decimal(one) == Decimal(other)
    ][:1]


def _words(cells: Cells) -> list[str]:
    words = ", ".join(f"'{shown(word)}' ({count})" for word, count in cells.counted(MISSING_WORDS).items())
    return (
        [f"{words} of {shown(cells.name)} is a class here; leave the field empty if the class is missing"]
        if words
        else []
    )
