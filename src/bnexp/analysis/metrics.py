"""What a metric can be: between which ends it lies, and so its means, its differences and their intervals."""

from __future__ import annotations

import math

SHARES = ("signal/hessian_negative_fraction",)
"""Fractions, besides accuracies."""

SIGNED = ("signal/hessian_largest",)
"""What may be negative, besides differences; all else is a loss, a time, a length or a count."""


def metric_range(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that ``metric`` can have.

    Losses are taken for what bnexp's own are, at least 0.
    """
    if metric == "gap/accuracy":
        return -1.0, 1.0
    if "accuracy" in metric or metric in SHARES:
        return 0.0, 1.0
    return (-math.inf if metric in SIGNED else 0.0), math.inf


def difference_range(metric: str, arms: int = 2) -> tuple[float, float]:
    """Return the least and the largest difference of ``metric`` between two means; of an interaction, between two such
    differences (``arms=4``)."""
    low, high = metric_range(metric)
    return arms / 2 * (low - high), arms / 2 * (high - low)
