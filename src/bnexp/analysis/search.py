"""What a sweeper that searches for the best configuration is told about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from bnexp.training.record import FINISHED

WORST = 0.0
"""Of accuracies: no run that ended well has less. NaN would end Optuna's search, and infinity some others'."""


def search_value(results: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the best validation accuracy, of replicas the mean; None where a run has no answer.

    A run that diverged, or whose last evaluation has no score, has :data:`WORST`, however good it was before: the
    network that it left behind is not that one.
    """
    if any(result["status"] not in FINISHED for result in results):
        return None
    return fmean(_value(result) for result in results)


def _value(result: Mapping[str, Any]) -> float:
    metrics = result["metrics"]
    best = metrics.get("best/val/accuracy")
    has_score = result["status"] == "done" and metrics.get("val/accuracy") is not None
    return float(best) if has_score and best is not None else WORST
