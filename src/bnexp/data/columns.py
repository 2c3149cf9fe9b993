"""How the columns of a table become numbers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bnexp.data.cells import MISSING_WORDS, Cells
from bnexp.data.contract import Column
from bnexp.data.identifiers import suspicion
from bnexp.data.items import item
from bnexp.data.names import shown
from bnexp.data.numbers import Mark, Numbers, exactly_distinct, read_numbers
from bnexp.errors import ConfigError

MAX_CATEGORIES = 256
MANY_CATEGORIES = 20
SHARE_OF_MANY = 0.1  # of the rows
LARGEST = 1e300
"""Beyond it, a difference of two numbers need not be one of 64 bits."""

_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_ZERO_FIRST = re.compile(r"0\d")


@dataclass(frozen=True)
class Encoded:
    """The features of a table.

    Attributes:
        rows: float64 (N, F), NaN where a number is missing.
        columns: what each column became.
        warnings: a line about each thing that is probably not meant.
    """

    rows: NDArray[np.float64]
    columns: tuple[Column, ...]
    warnings: tuple[str, ...]


def encode(columns: Sequence[Cells], mark: Mark, dropped: Sequence[str] = ()) -> Encoded:
    """Turn the columns of a table into float64 rows.

    * Numbers stay as they are, :func:`bnexp.data.numbers.read_numbers` says which texts are some. A missing one stays
      NaN until :func:`bnexp.data.split.split` fills it with the median of the training examples (a median of all rows
      would tell training about the test set), and its column is followed by one more that is 1 where the number was
      missing and 0 elsewhere. An empty field is a missing number, and so are the words of ``MISSING_WORDS``.
    * ``true`` and ``false`` become 1 and 0.
    * Text becomes one column of zeros and ones per category, the categories sorted. An empty field is a category of its
      own, and so is each of the words: in a text, "None" may mean something.

    Args:
        columns: the features.
        mark: which sign stands before the decimals where both are possible.
        dropped: the columns that the user has dropped already, for the advice.

    Raises:
        ConfigError: naming the column, for text among numbers, numbers that can be read in two ways, infinite values,
            a column without any value, and text with more than ``MAX_CATEGORIES`` different values.
    """
    blocks, found, warnings = [], [], []
    for cells in columns:
        block, column, lines = _encoded(cells, mark, item("dataset.drop", [*dropped, cells.name]))
        blocks.append(block)
        found.append(column)
        warnings += lines
    return Encoded(np.concatenate(blocks, axis=1), tuple(found), tuple(warnings))


def _encoded(cells: Cells, mark: Mark, drop: str) -> tuple[NDArray[np.float64], Column, list[str]]:
    numbers = _numbers(cells, mark, drop)
    column = Column(cells.name, "number", distinct=len(set(cells.texts) - {""}), stripped=cells.stripped)
    if numbers is None:
        column = replace(column, role="category", suspect=suspicion(cells, None))
        return _one_hot(cells, column, drop)
    values = numbers.values[cells.codes]
    column = replace(
        column,
        missing=cells.counted({"", *MISSING_WORDS}),
        reading=numbers.how,
        lost=_lost(cells, numbers),
        suspect=suspicion(cells, values),
        features=(cells.name,),
    )
    warnings = [
        f"column '{shown(cells.name)}': {column.lost} of its different numbers fall together with another one, because "
        f"64 bits do not hold so many digits; if it is a name and no number, write {drop}"
    ] * (column.lost > 0)
    warnings += _zero_warnings(cells, numbers)
    if not column.missing:
        return values[:, None], column, warnings
    column = replace(column, features=(cells.name, f"{cells.name} is missing"))
    return np.stack([values, np.isnan(values).astype(np.float64)], axis=1), column, warnings


def _numbers(cells: Cells, mark: Mark, drop: str) -> Numbers | None:
    """Return the number of each text, NaN where missing, or None where the column holds categories."""
    present = [index for index, text in enumerate(cells.texts) if text and text not in MISSING_WORDS]
    texts = [cells.texts[index] for index in present]
    if not texts and all(text == "" for text in cells.texts):
        raise ConfigError(f"dataset.path: column '{shown(cells.name)}' has no values; write {drop}")
    counts = cells.counts()[present]
    if not texts:
        return None  # words alone: they may mean something
    values = np.full(len(cells.texts), np.nan)
    if {text.lower() for text in texts} <= {"true", "false"}:
        values[present] = [text.lower() == "true" for text in texts]
        return Numbers(values, how="true is 1, false is 0")
    read = read_numbers(texts, mark)
    infinite = np.array([_INFINITE.fullmatch(text) is not None for text in texts])
    is_text = np.isnan(read.values) & ~infinite
    if 2 * counts[is_text].sum() >= counts.sum() or infinite.all():
        return None
    _refuse(cells, [present[index] for index in np.flatnonzero(is_text)], "among numbers", drop)
    too_large = infinite | (np.abs(np.nan_to_num(read.values)) > LARGEST)
    _refuse(cells, [present[index] for index in np.flatnonzero(too_large)], "is no finite number of 64 bits", drop)
    if read.problem:
        raise ConfigError(
            f"dataset.path: column '{shown(cells.name)}': {read.problem}"
            + ("" if "dataset.decimal" in read.problem else f"; write all its numbers alike (1234.5), or {drop}")
        )
    values[present] = read.values
    return Numbers(values, read.how)


def _refuse(cells: Cells, wrong: Sequence[int], what: str, drop: str) -> None:
    if wrong:
        first = min(wrong, key=cells.row_of)
        raise ConfigError(
            f"dataset.path: column '{shown(cells.name)}', row {cells.row_of(first)}: '{shown(cells.texts[first])}' "
            f"{what}; mend it, leave it empty if it is missing, or write {drop}"
        )


def _one_hot(cells: Cells, column: Column, drop: str) -> tuple[NDArray[np.float64], Column, list[str]]:
    """Return zeros and ones of shape (N, categories), the missing ones in the last column where there are any."""
    values = sorted(text for text in cells.texts if text)
    with_digits = sum(any(map(str.isdigit, text)) for text in values)
    plainly = "if they are numbers, write them plainly (1234.5); " * (2 * with_digits >= len(values))
    if len(values) > MAX_CATEGORIES:
        raise ConfigError(
            f"dataset.path: column '{shown(cells.name)}' has {len(values)} different texts ('{shown(values[0])}', …), "
            f"more than {MAX_CATEGORIES} categories; {plainly}if they are names, write {drop}"
        )
    order = [*values, *([""] if "" in cells.texts else [])]
    place = {text: index for index, text in enumerate(order)}
    codes = np.array([place[text] for text in cells.texts])[cells.codes]
    rows = np.zeros((len(cells), len(order)))
    rows[np.arange(len(cells)), codes] = 1
    counts = cells.counted(order)
    column = replace(
        column,
        categories={text: counts[text] for text in order},
        kept=cells.counted(MISSING_WORDS),
        suspect=column.suspect + f" ({plainly.removesuffix('; ')})" * bool(column.suspect and plainly),
        features=tuple(f"{cells.name} = {text}" if text else f"{cells.name} is missing" for text in order),
    )
    warnings = alike_warnings(f"column '{shown(cells.name)}': the categories", values)
    if len(values) > max(MANY_CATEGORIES, SHARE_OF_MANY * len(cells)) and not column.suspect:
        warnings.append(
            f"column '{shown(cells.name)}' has {len(values)} different texts ('{shown(values[0])}', …) in "
            f"{len(cells)} rows and becomes as many inputs; {plainly}if they are names, write {drop}"
        )
    return rows, column, warnings


def alike_warnings(what: str, values: Sequence[str]) -> list[str]:
    """Return a line where two of the texts differ in nothing but case or in how an accent is stored."""
    seen: dict[str, str] = {}
    for value in values:
        visible = "".join(sign for sign in value if unicodedata.category(sign) != "Cf")
        other = seen.setdefault(" ".join(unicodedata.normalize("NFKC", visible).casefold().split()), value)
        if other != value:
            return [
                f"{what} '{shown(other)}' and '{shown(value)}' differ in case, blanks or form alone and are kept apart"
            ]
    return []


def _lost(cells: Cells, numbers: Numbers) -> int:
    """Count the different numbers that are the same in 64 bits as another one."""
    if numbers.how:
        return 0
    texts = [text for text, value in zip(cells.texts, numbers.values, strict=True) if not np.isnan(value)]
    exact = exactly_distinct(texts)
    return 0 if exact is None else exact - len(np.unique(numbers.values[~np.isnan(numbers.values)]))


def _zero_warnings(cells: Cells, numbers: Numbers) -> list[str]:
    """Return a line where texts with zeros in front, a code's, are the same number as others."""
    if not any(map(_ZERO_FIRST.match, cells.texts)):
        return []
    first: dict[float, str] = {}
    for text, value in zip(cells.texts, numbers.values.tolist(), strict=True):
        if text.isdigit() and (other := first.setdefault(value, text)) != text:
            return [
                f"column '{shown(cells.name)}': '{shown(other)}' and '{shown(text)}' are the same number; if they "
                "are codes, put a letter in front of each"
            ]
    return []
