"""The run folder: the border between running and judging.

``config.yaml`` and ``metrics.jsonl`` are written while a run goes on, ``result.json`` last. Whoever judges a run reads
these files and nothing else.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from bnexp.atomic import write_atomically

Row = dict[str, float | int | None]


class RunFolder:
    """Where one run keeps its record.

    Attributes:
        path: ``<output_dir>/<dataset>-<model>-<init>-<norm>-<optimizer>/<fingerprint>-s<seed>``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.checkpoint = path / "checkpoint.pt"
        self.result = path / "result.json"
        self.traceback = path / "traceback.txt"
        self.lock = path / ".lock"

    def clear(self) -> None:
        """Remove what an earlier run of the same question left here."""
        files = [self.config, self.metrics, self.checkpoint, self.result, self.traceback]
        for file in [*files, *self.event_files()]:
            file.unlink(missing_ok=True)

    def start(self, config: str) -> None:
        """Record the configuration, and take away what an earlier attempt said of its end."""
        self.result.unlink(missing_ok=True)
        self.traceback.unlink(missing_ok=True)
        write_atomically(self.config, config.encode())

    def event_files(self) -> list[Path]:
        """TensorBoard's files."""
        return sorted(self.path.glob("events.out.tfevents.*"))

    def append_row(self, row: Row) -> None:
        """Append one evaluation to ``metrics.jsonl`` and hand it to the operating system."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(row)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def rows_until(self, last_step: int) -> list[Row]:
        """Return the recorded evaluations up to ``last_step``."""
        return [row for row in read_rows(self.metrics) if (row["step"] or 0) <= last_step]

    def cut_rows(self, last_step: int) -> list[Row]:
        """Drop the rows that a stopped run wrote beyond its checkpoint, at ``last_step``; return the others."""
        kept = self.rows_until(last_step)
        write_atomically(self.metrics, "".join(json.dumps(row) + "\n" for row in kept).encode())
        return kept

    def write_result(self, result: dict[str, Any]) -> None:
        """Write ``result.json``, whole or not at all."""
        write_atomically(self.result, (json.dumps(finite(result), indent=2, ensure_ascii=False) + "\n").encode())

    def read_result(self) -> dict[str, Any] | None:
        """Return the result, or None where there is none that can be read."""
        try:
            result = json.loads(self.result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) and "status" in result else None


def read_rows(metrics: Path) -> list[Row]:
    """Read the lines of a ``metrics.jsonl``; a last line that was cut short is left out."""
    rows: list[Row] = []
    if not metrics.exists():
        return rows
    for line in metrics.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON lacks, by null, in dicts and lists as deep as they go."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
