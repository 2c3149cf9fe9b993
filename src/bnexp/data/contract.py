"""What a loader made of the files: a plain value that is shown before training and kept in the run's record.

A number that was read, a word that was taken for missing, a level that was rounded: nothing of it happens in silence.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Role = Literal["number", "category", "target", "dropped"]


@dataclass(frozen=True)
class Column:
    """What one column of a table became.

    Attributes:
        name: its name in the header.
        role: what it is to the network.
        features: the names of the inputs that it became, in their order.
        distinct: how many different texts it holds, blanks around them aside.
        categories: the number of rows of each category; the missing ones stand under the empty text.
        missing: the words that were taken for a missing number, with their number of rows; an empty field is the empty
            text.
        kept: words that often stand for a missing value and are categories or classes here, with their rows.
        stripped: fields from which blanks at the ends were taken.
        reading: how its texts were read as numbers, where they are not written plainly.
        lost: how many different numbers fall together with another one because 64 bits, or the 32 bits that a network
            sees, do not tell them apart.
        suspect: why it looks like an identifier, which is no feature; empty if it does not.
    """

    name: str
    role: Role
    features: tuple[str, ...] = ()
    distinct: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    stripped: int = 0
    reading: str = ""
    lost: int = 0
    suspect: str = ""


@dataclass(frozen=True)
class Images:
    """What image files hold.

    Attributes:
        formats: files of each format.
        modes: files of each of Pillow's colour modes.
        levels: where the range of the levels comes from.
        low, high: the smallest and largest level of all files, where they hold more than 8 bits.
        distinct: how many different levels were looked at, where the files hold more than 8 bits.
        lost: how many of those fall together with another one in what is stored.
    """

    formats: dict[str, int]
    modes: dict[str, int]
    levels: str
    low: float | None = None
    high: float | None = None
    distinct: int = 0
    lost: int = 0


@dataclass(frozen=True)
class Contract:
    """What the loader made of the files.

    Attributes:
        source: what was read.
        facts: a line about each thing that was done on the way.
        warnings: a line about each thing that is probably not meant; a run repeats them in its notes.
        columns: the columns of a table, in the order of the file.
        images: what image files hold.
        rows_left_out: rows of a table without a class.
        parts: the splits that were found as folders or files, in place of being drawn.
        drop: the item that takes all suspected identifiers out, ready for a shell.
        classes: the number of examples of each class, all splits together, before labels are made wrong on purpose.
        examples: the number of examples of each split.
        input_shape: (C, H, W) for images, (F,) for rows.
    """

    source: str = ""
    facts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    images: Images | None = None
    rows_left_out: int = 0
    parts: tuple[str, ...] = ()
    drop: str = ""
    classes: dict[str, int] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    input_shape: tuple[int, ...] = ()

    @property
    def identifiers(self) -> tuple[Column, ...]:
        """The columns that look like identifiers."""
        return tuple(column for column in self.columns if column.suspect)

    def as_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, texts and numbers, for a record."""
        return asdict(self)

    @property
    def features(self) -> tuple[str, ...]:
        """The name of each input of a table."""
        return tuple(name for column in self.columns for name in column.features)
