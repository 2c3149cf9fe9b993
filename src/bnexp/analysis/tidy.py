"""Runs as a tidy table: a row for each run, a column for each setting and metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from bnexp.analysis.arms import SEED, Arm, place
from bnexp.analysis.runs import Run
from bnexp.config.targets import show
from bnexp.text import printable

FORMULA = ("=", "+", "-", "@")
"""With these a spreadsheet begins a formula."""


def records(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return a record for each run: its arm and result, its settings by their keys, its metrics; None for a lack."""
    runs = [(arm, run) for arm in arms for run in arm.runs]
    settings = sorted({key for _, run in runs for key in run.values} - {SEED}, key=place)
    metrics = dict.fromkeys(name for _, run in runs for name in run.metrics)
    return [
        _outcome(arm, run)
        | {key: run.values.get(key) for key in settings}
        | {name: run.metrics.get(name) for name in metrics}
        for arm, run in runs
    ]


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write records as CSV; None, or what a record lacks, becomes an empty cell.

    A text that a spreadsheet would take for a formula gets a ``'`` in front, and control characters are escaped, so
    that a row is a line. Numbers stay numbers.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _outcome(arm: Arm, run: Run) -> dict[str, Any]:
    seconds = run.result.get("seconds", {})
    return {
        "arm": arm.label,
        SEED: run.seed,
        "status": run.status,
        "fingerprint": run.result["fingerprint"],
        "path": str(run.path),
        "epochs": run.result.get("epochs"),
        "steps": run.result.get("steps"),
        "diverged_step": run.result.get("diverged_step"),
        "seconds/train": seconds.get("train"),
        "seconds/total": seconds.get("total"),
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = printable(show(value))
    number = isinstance(value, int | float)
    return f"'{text}" if text.startswith(FORMULA) and not number else text
