"""Whether there are too few examples to tell an accuracy, and a line that says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bnexp.analysis.statistics.estimate import CONFIDENCE
from bnexp.analysis.statistics.guessing import Answers, binomial_interval, is_coarse

SPLITS = {"val": "validation", "test": "test"}


class Measured(NamedTuple):
    """An accuracy, and the split that it was measured on: ``val`` or ``test``."""

    split: str
    answers: Answers


def few_examples(measured: Iterable[Measured]) -> list[str]:
    """Return a line for each split that leaves an accuracy open by more than ± 0.05, about the one it leaves most open.

    That is half the width of Clopper and Pearson's 95 % interval of the accuracy on its number of examples. The spread
    over seeds does not show it where all seeds share their examples.
    """
    coarse = [item for item in measured if is_coarse(*item.answers)]
    worst = {item.split: item.answers for item in sorted(coarse, key=lambda item: _width(item.answers))}
    return [_line(SPLITS[split], *worst[split]) for split in SPLITS if split in worst]


def measured(result: Mapping[str, Any]) -> list[Measured]:
    """Return the final accuracies of a run, from its ``result.json``."""
    examples, metrics = result.get("examples", {}), result["metrics"]
    known = ((split, metrics.get(f"{split}/accuracy"), examples.get(split)) for split in SPLITS)
    return [Measured(split, Answers(value, size)) for split, value, size in known if value is not None and size]


def of_metric(results: Iterable[Mapping[str, Any]], metric: str) -> list[Measured]:
    """Return the accuracies of runs on the split that ``metric`` belongs to; none where it is no accuracy."""
    split = metric.removesuffix("/accuracy").removeprefix("best/")
    return [
        item for result in results for item in measured(result) if metric.endswith("/accuracy") and item.split == split
    ]


def _width(answers: Answers) -> float:
    low, high = binomial_interval(*answers)
    return high - low


def _line(split: str, accuracy: float, num_examples: int) -> str:
    low, high = binomial_interval(accuracy, num_examples)
    return (
        f"few examples: an accuracy on {num_examples} {split} examples changes in steps of {1 / num_examples:.2g}, and "
        f"one of {accuracy:.4f} may stand for {low:.4f} to {high:.4f} ({CONFIDENCE:.0%}, binomial)"
    )
