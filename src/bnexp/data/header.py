"""Whether the first line of a table names its columns, or is a row of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnexp.data.cells import MISSING_WORDS
from bnexp.data.numbers import read_numbers

MOST_ROWS = 10_000
"""That are looked at: the first ones."""

LEAST_COUNTED = 5
"""Columns that are named 0, 1, 2, … by a program; fewer may be a row by chance."""

NUMERIC = 0.9  # share of a column's texts that are numbers


def looks_like_a_row(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether ``first``, stripped, looks more like a row of the ``columns`` below it than like their names.

    A word above numbers is a name. A number above numbers, and a text that stands in its own column, is a row's.
    Numbers in equal steps (0, 1, 2, …; wavelengths) are names that a program gave.
    """
    votes = [_vote(cell, list(dict.fromkeys(column[:MOST_ROWS]))) for cell, column in zip(first, columns, strict=True)]
    numbers = [float(cell) for cell, vote in zip(first, votes, strict=True) if vote == "number"]
    values = len(numbers) + votes.count("value")
    steps = np.diff(numbers)
    if len(numbers) >= 3 and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-6, atol=0):
        is_counted = numbers[0] in (0, 1) and steps[0] == 1 and len(numbers) >= LEAST_COUNTED
        if is_counted or votes.count("name"):
            values -= len(numbers)
    if votes.count("name"):
        return values > votes.count("name")
    return values > votes.count("word")


def _vote(cell: str, texts: Sequence[str]) -> str:
    """Say what a cell of the first line is: "name", "number" or "value", a "word" that may be either, or nothing."""
    texts = [bare for text in texts if (bare := text.strip()) and bare not in MISSING_WORDS]
    if not cell or not texts or cell in MISSING_WORDS:
        return ""
    is_number = ~np.isnan(read_numbers(texts, "auto").values)
    if is_number.mean() >= NUMERIC:
        if np.isnan(read_numbers([cell], "auto").values[0]):
            return "name"
        numbers = [text for text, one in zip(texts, is_number, strict=True) if one]
        if all("." in text for text in numbers) and "." not in cell and cell not in texts:
            return "name"
        try:
            float(cell)
        except ValueError:
            return "value"
        return "number"
    return "value" if cell in texts else "word"
