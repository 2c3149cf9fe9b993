"""The run folder: the border between running and judging.

``config.yaml`` and ``metrics.jsonl`` are written while a run goes on, ``result.json`` last. Whoever judges a run reads
these files and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bnexp.atomic import naming, remove_leftovers, write_atomically

Row = dict[str, float | int | None]

FINISHED = ("done", "diverged")
"""Statuses of runs that have an answer; a divergence is one."""


class RunFolder:
    """Where one run keeps its record.

    Attributes:
        path: ``<output_dir>/<dataset>-<model>-<init>-<norm>-<optimizer>/<fingerprint>-s<seed>``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.histograms = path / "histograms.jsonl"
        self.checkpoint = path / "checkpoint.pt"
        self.previous_checkpoint = path / "checkpoint-previous.pt"
        self.result = path / "result.json"
        self.traceback = path / "traceback.txt"
        self.lock = path / ".lock"
        self.owner = path / ".owner.json"

    def files(self) -> list[Path]:
        """Return where all of the record lies, but for the lock; not all of it need be there."""
        records = [self.config, self.metrics, self.histograms, self.result, self.traceback]
        return [*records, self.checkpoint, self.previous_checkpoint, self.owner, *self.event_files()]

    def obstacle(self) -> Path | None:
        """Return a folder that lies where a file of the record belongs, if there is one."""
        return next((file for file in [*self.files(), self.lock] if file.is_dir()), None)

    def clear(self) -> None:
        """Remove what an earlier run of the same question left here."""
        for file in self.files():
            if file != self.owner:
                file.unlink(missing_ok=True)

    def start(self, config: str) -> None:
        """Record the configuration, and take away what an earlier attempt said of its end or left half written."""
        remove_leftovers(self.path)
        self.result.unlink(missing_ok=True)
        self.traceback.unlink(missing_ok=True)
        write_atomically(self.config, config.encode())

    def event_files(self) -> list[Path]:
        """TensorBoard's files."""
        return sorted(self.path.glob("events.out.tfevents.*"))

    def append_row(self, row: Row) -> None:
        """Append one evaluation to ``metrics.jsonl`` and hand it to the operating system."""
        _append(self.metrics, row)

    def append_histograms(self, step: int, histograms: dict[str, Any]) -> None:
        """Append the histograms of one evaluation, by tag, to ``histograms.jsonl``."""
        _append(self.histograms, {"step": step, "histograms": histograms})

    def rows_until(self, last_step: int) -> list[Row]:
        """Return the recorded evaluations up to ``last_step``."""
        return [row for row in read_rows(self.metrics) if (row["step"] or 0) <= last_step]

    def cut_rows(self, last_step: int) -> list[Row]:
        """Drop the rows that a stopped run wrote beyond its checkpoint, at ``last_step``; return the others."""
        kept = self.rows_until(last_step)
        _write_rows(self.metrics, kept)
        return kept

    def cut_histograms(self, last_step: int) -> list[dict[str, Any]]:
        """Drop the histograms beyond the checkpoint in the same way; return the others, in order of their steps."""
        kept: list[dict[str, Any]] = [
            record for record in read_rows(self.histograms) if (record["step"] or 0) <= last_step
        ]
        if self.histograms.exists():
            _write_rows(self.histograms, kept)
        return kept

    def write_result(self, result: dict[str, Any]) -> None:
        """Write ``result.json``, whole or not at all."""
        write_atomically(self.result, (json.dumps(finite(result), indent=2, ensure_ascii=False) + "\n").encode())

    def write_death(self, error: str) -> None:
        """Write the result of a run whose process died before it could, if the run had begun."""
        if self.config.exists() and not self.result.exists():
            fingerprint, _, seed = self.path.name.rpartition("-s")
            own = {"fingerprint": fingerprint, "seed": int(seed), "metrics": {}}
            self.write_result({"status": "failed", **own, "error": error})

    def read_result(self) -> dict[str, Any] | None:
        """Return the result, or None where there is none that can be read."""
        try:
            result = json.loads(self.result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) and "status" in result else None


def _append(file: Path, record: Mapping[str, Any]) -> None:
    with naming(file), file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(finite(record)) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def _write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_atomically(file, "".join(json.dumps(row) + "\n" for row in rows).encode())


def read_rows(metrics: Path) -> list[Row]:
    """Read the lines of a ``metrics.jsonl``; a last line that was cut short is left out."""
    rows: list[Row] = []
    if not metrics.is_file():
        return rows
    for line in metrics.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def chained(digest: str, row: Row) -> str:
    """Return a checksum of ``row`` and all rows before it, whose checksum is ``digest``; that of none is empty."""
    return hashlib.sha256((digest + json.dumps(finite(row))).encode()).hexdigest()


def finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON lacks, by null, in dicts and lists as deep as they go."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
