"""Names and texts from files as one can print them, whatever they are made of."""

from __future__ import annotations

import os
from pathlib import Path

from bnexp.text import printable as text_printable

LONGEST = 60


def printable(name: str | Path) -> str:
    """Return a file's name in UTF-8; bytes that are none are shown as ``\\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def shown(text: str) -> str:
    """Return a text on one line, not too long, as :mod:`bnexp.text` prints it."""
    line = text_printable(text)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
