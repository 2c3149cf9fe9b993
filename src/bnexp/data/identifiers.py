"""Which columns look like identifiers: they number the rows, or name each of them, and say nothing about a new one."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from bnexp.data.cells import Cells

LEAST_ROWS = 20
"""In fewer, an honest measurement rises from row to row by chance, or because somebody wrote it down so."""

LARGEST_EXACT = 2.0**53

_NAMES = re.compile(
    r"(?:^|[^a-z])(?:id|ids|idx|index|key|no|nr|num|number|uuid|guid|row|rowid|serial|unnamed)(?:$|[^a-z])"
    r"|[a-z](?:Id|ID|Idx|Index|Key|UUID|Nr)(?:$|[^a-z])",
)


def suspicion(cells: Cells, numbers: NDArray[np.float64] | None) -> str:
    """Say why a column looks like an identifier, or return an empty text.

    Args:
        cells: the column.
        numbers: its value in each row, NaN where it is missing; None for a column of categories.
    """
    named = _NAMES.search(cells.name) is not None or _NAMES.search(cells.name.lower()) is not None
    if numbers is None:
        present = [text for text in cells.texts if text]
        num_present = len(cells) - sum(cells.counted([""]).values())
        if num_present < LEAST_ROWS:
            return ""
        return "it is another text in every row" if len(present) == num_present else ""
    present_numbers = numbers[~np.isnan(numbers)]
    if len(present_numbers) < LEAST_ROWS or not np.array_equal(present_numbers, np.floor(present_numbers)):
        return ""
    steps = np.diff(present_numbers)
    if len(steps) and steps[0] != 0 and np.all(steps == steps[0]):
        return "it counts the rows"
    if np.all(steps > 0) or np.all(steps < 0):
        return "it is another whole number in every row, in the order of the file"
    if len(set(cells.texts) - {""}) < len(present_numbers):
        return ""
    if len(np.unique(present_numbers)) == len(present_numbers) == present_numbers.max() - present_numbers.min() + 1:
        return "it numbers the rows, in another order"
    if named or np.abs(present_numbers).max() > LARGEST_EXACT:
        return "it is another whole number in every row"
    return ""
