"""Numbers beside their bounds: a rule goes by what is written, so that nobody reads "0.05, rule: below 0.05"."""

from __future__ import annotations


def as_written(value: float, form: str) -> float:
    """Return ``value`` as a format specification writes it, ``.2f`` or ``.0%`` for instance."""
    text = f"{value:{form}}"
    return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)


def percent_of_all(value: float) -> str:
    """Write a share in whole per cent; with so many more digits that only 1 is 100%."""
    digits = 0
    while value < 1 and as_written(value, f".{digits}%") >= 1:
        digits += 1
    return f"{value:.{digits}%}"
