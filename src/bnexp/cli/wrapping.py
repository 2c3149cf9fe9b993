"""Help texts, which are written for wide terminals, on narrow ones."""

from __future__ import annotations

import re
from itertools import groupby
from shutil import get_terminal_size
from textwrap import wrap


def fitted(text: str) -> str:
    """Break the lines of ``text`` to the width of the terminal; 80 columns where there is none.

    A paragraph at the margin is filled anew. A line of a table, whose last column stands behind two spaces or more,
    stays a line of its own and goes on below that column.
    """
    width = max(40, get_terminal_size().columns)
    if all(len(line) <= width for line in text.splitlines()):
        return text
    lines: list[str] = []
    for is_prose, block in groupby(text.splitlines(), _is_prose):
        for line in [" ".join(block)] if is_prose else block:
            lines += _broken(line, width)
    return "\n".join(lines) + "\n"


def _is_prose(line: str) -> bool:
    return bool(line) and "  " not in line and not line.startswith((" ", "usage:")) and not line.endswith(":")


def _broken(line: str, width: int) -> list[str]:
    margin = len(line) - len(line.lstrip())
    gaps = [gap.end() for gap in re.finditer(r"(?<=\S) {2,}", line)]
    indent = margin
    if gaps:  # below a column far to the right there is no room
        indent = gaps[-1] if gaps[-1] < width / 2 else margin + 4
    return wrap(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False) or [""]
