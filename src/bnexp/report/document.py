"""What a report consists of, whichever way it is written down. All texts are plain and may come from a stranger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """A column of a table; numbers stand to the right, a verdict is marked, long texts get more room."""

    title: str
    kind: Literal["text", "long", "number", "verdict"] = "number"


@dataclass(frozen=True)
class Table:
    """Rows of cells under ``columns``; ``details`` holds a line for each row that needs more words than a cell."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A drawing in ``figures/NAME.svg`` and ``.png``; ``caption`` says how to read it.

    Attributes:
        svg: the drawing as an element that can stand in a page.
        wide: whether it needs the page's whole width.
    """

    name: str
    caption: str
    svg: str
    wide: bool = False


@dataclass(frozen=True)
class Figures:
    """Drawings that stand side by side where there is room."""

    items: tuple[Figure, ...]


@dataclass(frozen=True)
class Commands:
    """Lines for a shell, each with what it is for."""

    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Items:
    """A list."""

    lines: tuple[str, ...]


Block = str | Table | Figures | Commands | Items


@dataclass(frozen=True)
class Section:
    """A part of the report under a heading; ``name`` is its place in the page's addresses."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A study's report: the question, two sentences of answer, what to keep in mind, and the sections behind them."""

    name: str
    question: str
    source: str
    answer: tuple[str, str]
    cautions: tuple[str, ...]
    sections: tuple[Section, ...]
