"""The fields of one column as they stand in a file: different texts, and which row has which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MISSING_WORDS = frozenset(
    {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"}
    | {"N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""What pandas' ``read_csv`` takes for a missing value, beside the empty field."""


@dataclass(frozen=True)
class Cells:
    """A column.

    Attributes:
        name: the name of the column.
        texts: its different texts, blanks at the ends aside, in the order in which they come.
        codes: the index into ``texts`` of each row.
        stripped: the number of rows from whose field blanks were taken.
        rows: the number of each row in the file; 1 is the first one below the header.
    """

    name: str
    texts: tuple[str, ...]
    codes: NDArray[np.int64]
    stripped: int
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.codes)

    def counts(self) -> NDArray[np.int64]:
        """Return the number of rows of each text."""
        return np.bincount(self.codes, minlength=len(self.texts)).astype(np.int64)

    def counted(self, texts: Iterable[str]) -> dict[str, int]:
        """Return the number of rows of those of ``texts`` that are there."""
        wanted, counts = set(texts), self.counts().tolist()
        return {text: count for text, count in zip(self.texts, counts, strict=True) if text in wanted and count}

    def row_of(self, index: int) -> int:
        """Return the first row that holds the text of this index."""
        return int(self.rows[int(np.flatnonzero(self.codes == index)[0])])

    def kept(self, where: NDArray[np.bool_]) -> Cells:
        """Return the column without the rows that are not in ``where``."""
        used, codes = np.unique(self.codes[where], return_inverse=True)
        order = np.argsort(used)
        texts = tuple(self.texts[used[index]] for index in order)
        return Cells(self.name, texts, codes.astype(np.int64), self.stripped, self.rows[where])


def cells_of(name: str, fields: Sequence[str]) -> Cells:
    """Return a column of ``fields`` as they stand in the file."""
    index = {text: number for number, text in enumerate(dict.fromkeys(fields))}
    raw = np.fromiter(map(index.__getitem__, fields), dtype=np.int64, count=len(fields))
    place: dict[str, int] = {}
    bare = np.array([place.setdefault(text.strip(), len(place)) for text in index], dtype=np.int64)
    had_blanks = np.array([text != text.strip() for text in index])
    stripped = int(had_blanks[raw].sum()) if len(raw) else 0
    return Cells(name, tuple(place), bare[raw], stripped, np.arange(1, len(fields) + 1))
