"""When a run first reaches the target, and when it is known not to have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bnexp.analysis.statistics.sample import Values

NEVER = math.inf  # "followed until" of a run that diverged: no longer budget would have brought it to the target


@dataclass(frozen=True)
class Durations:
    """One arm's times to target, a run each: ``times`` where ``reached``, else the time up to which it had not.

    Times are steps, epochs or seconds. A run that did not reach the target is right-censored, never dropped.
    """

    times: NDArray[np.float64]
    reached: NDArray[np.bool_]


def target_from_baseline(best_values: Values) -> float:
    """Return the median of the baseline runs' best validation values: about half of its own runs reach it."""
    return float(np.median(np.asarray(best_values, float)))


def first_crossing(grid: Values, values: Values, target: float, *, higher_is_better: bool) -> float | None:
    """Return the first time on the evaluation ``grid`` whose value is at least (at most) the target; None if none is.

    No interpolation between evaluations; a NaN is not a crossing.
    """
    data = np.asarray(values, float)
    hits = np.flatnonzero(data >= target if higher_is_better else data <= target)
    return float(grid[hits[0]]) if len(hits) else None


def durations(crossings: Sequence[float | None], followed_until: Values) -> Durations:
    """Join each run's first crossing with the time up to which it was followed: its budget, or ``NEVER``.

    A run cut off early (stopped by hand, still going) is followed until its last evaluation. A diverged run is
    followed until ``NEVER``, not until it diverged: cutting it off there would count it as one that might yet have
    been fast.
    """
    pairs = list(zip(crossings, followed_until, strict=True))
    times = [float(until) if crossing is None else crossing for crossing, until in pairs]
    return Durations(np.array(times, float), np.array([crossing is not None for crossing in crossings], bool))
