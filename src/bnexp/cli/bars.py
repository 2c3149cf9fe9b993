"""Magnitudes as small bars of text, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, log10

LYING = " ▏▎▍▌▋▊▉█"
STANDING = "▁▂▃▄▅▆▇█"
DECADES = 3.0
"""Decades that a full bar spans at least, so that equal values look equal."""


class Scale:
    """Heights between 0 and 1 of positive numbers: the largest has 1, one of three decades less (or the smallest) 0."""

    def __init__(self, values: Iterable[float]) -> None:
        logs = [log10(value) for value in values if 0 < value < inf] or [0.0]
        self.top = max(logs)
        self.span = max(DECADES, self.top - min(logs))

    def height(self, value: float) -> float | None:
        """Return the height of ``value``; None where it is zero or not finite."""
        if not 0 < value < inf:
            return None
        return min(max(1 - (self.top - log10(value)) / self.span, 0.0), 1.0)


def bar(height: float | None, width: int) -> str:
    """Return a lying bar of ``width`` letters at height 1; never empty but where there is no height."""
    if height is None:
        return ""
    eighths = max(1, round(height * width * 8))
    return LYING[8] * (eighths // 8) + LYING[eighths % 8].strip()


def sparkline(heights: Sequence[float | None], width: int) -> str:
    """Return a letter for each height, or for each of ``width`` evenly spaced ones; a dot where there is none."""
    count = min(len(heights), width)
    chosen = [heights[round(i * (len(heights) - 1) / max(1, count - 1))] for i in range(count)]
    return "".join("·" if height is None else STANDING[round(height * 7)] for height in chosen)
