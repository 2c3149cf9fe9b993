"""Tables that fit their terminal, and are whole lines in a file or pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bnexp.console import Console

GAP = 2


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        name: its header.
        cells: a text for each row.
        rank: columns of the highest rank are the first to go where there is no room; those of rank 0 stay.
        style: rich's name of a colour.
        is_left: whether its cells are aligned to the left.
        least: letters a line down to which its cells may be folded before a column goes; None: not at all.
    """

    name: str
    cells: list[str]
    rank: int = 0
    style: str = ""
    is_left: bool = False
    least: int | None = None

    @property
    def width(self) -> int:
        """Letters of its longest cell."""
        return max(map(len, [self.name, *self.cells]))

    @property
    def least_width(self) -> int:
        """Letters of its longest cell, folded where it may be."""
        return self.width if self.least is None else min(self.width, self.least)


def console(*, wraps: bool) -> Console:
    """Return a console for text without markup; ``wraps``: break long lines at their words on a terminal."""
    # With its width given, since rich takes any dumb terminal for one of 80 columns.
    width = shutil.get_terminal_size().columns
    soft_wrap = not (wraps and sys.stdout.isatty())
    return Console(soft_wrap=soft_wrap, width=width)


def print_columns(to: Console, columns: Sequence[Column], elsewhere: str) -> None:
    """Print a table; what had no room is named, and that a wider terminal or ``elsewhere`` has it."""
    if not sys.stdout.isatty():
        to.print(*_aligned(columns), "", sep="\n")
        return
    to.print(table(columns, to.width))
    if line := no_room(columns, to.width, elsewhere):
        to.print(line, style="dim")


def table(columns: Sequence[Column], width: int) -> Table:
    """Return the columns that fit into ``width``, none of their cells cut."""
    shown = fitting(columns, width)
    found = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column, letters in zip(shown, _widths(shown, width), strict=True):
        found.add_column(
            column.name,
            justify="left" if column.is_left else "right",
            style=column.style,
            overflow="fold",
            width=letters,
        )
    for row in zip(*(column.cells for column in shown), strict=True):
        found.add_row(*row)
    return found


def no_room(columns: Sequence[Column], width: int, elsewhere: str) -> str:
    """Return a line that names the columns that :func:`table` leaves out; empty where there is none."""
    shown = fitting(columns, width)
    hidden = [column.name for column in columns if column not in shown]
    return f"no room for: {', '.join(hidden)} (a wider terminal, {elsewhere} has them)" if hidden else ""


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Leave out columns, those of the highest rank first, until the others, folded, fit into ``width``."""
    shown = list(columns)
    while sum(column.least_width + GAP for column in shown) > width and (rank := max(column.rank for column in shown)):
        shown = [column for column in shown if column.rank < rank]
    return shown


def _widths(shown: Sequence[Column], width: int) -> list[int]:
    """Take from the widest column, letter by letter: headers first, then cells that may be folded, then any."""
    found = [column.width for column in shown]
    longest_cells = [max(column.least_width, *map(len, column.cells)) for column in shown]
    for least in (longest_cells, [column.least_width for column in shown], [1] * len(shown)):
        while sum(found) + GAP * len(shown) > width and found != least:
            found[max((i for i in range(len(found)) if found[i] > least[i]), key=found.__getitem__)] -= 1
    return found


def _aligned(columns: Sequence[Column]) -> list[str]:
    rows = zip(*([column.name, *column.cells] for column in columns), strict=True)
    sides = [("<" if column.is_left else ">", column.width) for column in columns]
    lines = ("  ".join(f"{cell:{side}{width}}" for cell, (side, width) in zip(row, sides, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
