"""A search for the best configuration: what its sweeper is told about a run, and which runs it has come to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from bnexp.analysis.summary import Planned
from bnexp.files import append, read_text
from bnexp.training.record import FINISHED

WORST = 0.0
"""Of accuracies: no run that ended well has less. NaN would end Optuna's search, and infinity some others'."""


TRIALS = "trials.jsonl"
"""In the multirun's folder: a line for each trial, in the order in which they end."""

BEST = "optimization_results.yaml"
"""Optuna's record of the best trial, which counts those of earlier calls too."""


@dataclass(frozen=True)
class Trial:
    """One configuration that a sweeper has asked for.

    Attributes:
        words: its overrides.
        runs: the seed and the folder of each of its runs.
        value: what the sweeper was told; None where there is nothing to tell.
        error: why there is no run.
    """

    words: tuple[str, ...]
    runs: tuple[tuple[int, Path], ...]
    value: float | None
    error: str = ""

    def planned(self) -> list[Planned]:
        """Return its runs for the table of arms."""
        arm = tuple(word for word in self.words if not word.startswith("seed="))
        return [Planned(arm, seed, path) for seed, path in self.runs]


def note_trial(multirun: Path, trial: Trial) -> None:
    """Add a trial to the list in the multirun's folder; several processes may do so at once."""
    runs = [[seed, os.path.relpath(path, multirun)] for seed, path in trial.runs]
    line = {"words": trial.words, "runs": runs, "value": trial.value, "error": trial.error}
    append(multirun / TRIALS, f"{json.dumps(line)}\n".encode())


def read_trials(multirun: Path) -> list[Trial]:
    """Return the trials that the multirun's folder lists; none where there is no list."""
    try:
        lines = read_text(multirun / TRIALS).splitlines()
    except FileNotFoundError:
        return []
    return [_trial(multirun, json.loads(line)) for line in lines]


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial with the best value, the first of equals; None where none has any."""
    return max((trial for trial in trials if trial.value is not None), key=lambda trial: trial.value or 0, default=None)


def read_best(multirun: Path) -> tuple[dict[str, Any], float] | None:
    """Return the words and the value of the best of all trials of Optuna's study, as Optuna has recorded them."""
    try:
        found: Any = yaml.safe_load(read_text(multirun / BEST))
        return dict(found["best_params"]), float(found["best_value"])
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return None


def _trial(multirun: Path, line: Mapping[str, Any]) -> Trial:
    runs = tuple((seed, Path(os.path.relpath(multirun / path))) for seed, path in line["runs"])
    return Trial(tuple(line["words"]), runs, line["value"], line["error"])


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
