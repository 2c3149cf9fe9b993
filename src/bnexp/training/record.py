"""The run folder: the border between running and judging.

``config.yaml`` and ``metrics.jsonl`` are written while a run trains, ``result.json`` at its end, and then the seal
(:mod:`bnexp.training.seal`), which ties them together. Whoever judges a run reads these files and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bnexp.atomic import remove_leftovers, write_atomically
from bnexp.files import append, make_folder, read_end, read_text

Row = dict[str, float | int | None]

FINISHED = ("done", "diverged")
"""Statuses of runs that have an answer; a divergence is one."""

RECORD_VERSION = 3
"""Version of the record's format. Raised when it changes, so that no old record is taken for a new one."""

NAME_DIGITS = 10
"""Digits of the fingerprint in the name of a run's folder. The whole of it is in the record, and is compared."""

EVENTS = "events.out.tfevents."
"""What the names of TensorBoard's files begin with."""

RERUN = "rerun"
"""Where in a run's folder the run is trained again, until the new record can take the place of the old one."""


def run_name(fingerprint: str, seed: int) -> str:
    """Return the name of the folder of a run."""
    return f"{fingerprint[:NAME_DIGITS]}-s{seed}"


class RunFolder:
    """Where one run keeps its record.

    Attributes:
        path: ``<output_dir>/<dataset>-<model>-<init>-<norm>-<optimizer>/<fingerprint>-s<seed>``, or wherever the folder
            was moved to: a run is known by what its record says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.histograms = path / "histograms.jsonl"
        self.checkpoint = path / "checkpoint.pt"
        self.previous_checkpoint = path / "checkpoint-previous.pt"
        self.result = path / "result.json"
        self.seal = path / "seal.json"
        self.traceback = path / "traceback.txt"
        self.lock = path / ".lock"
        self.owner = path / ".owner.json"

    def files(self) -> list[Path]:
        """Return where all of the record lies, but for the lock; not all of it need be there."""
        records = [self.seal, self.config, self.metrics, self.histograms, self.result, self.traceback]
        return [*records, self.checkpoint, self.previous_checkpoint, self.owner, *self.event_files()]

    def obstacle(self) -> Path | None:
        """Return a folder that lies where a file of the record belongs, if there is one."""
        return next((file for file in [*self.files(), self.lock] if file.is_dir()), None)

    def start(self, config: bytes) -> None:
        """Record the configuration, and take away what an earlier attempt said of its end or left half written."""
        make_folder(self.path, self.path.parent)
        remove_leftovers(self.path)
        for file in (self.seal, self.result, self.traceback):
            file.unlink(missing_ok=True)
        write_atomically(self.config, config)

    def another(self) -> RunFolder:
        """Return where the run is trained again, beside its record."""
        return RunFolder(self.path / RERUN)

    def event_files(self) -> list[Path]:
        """TensorBoard's files."""
        return sorted(self.path.glob(f"{EVENTS}*"))

    def append_row(self, row: Row) -> None:
        """Append one evaluation to ``metrics.jsonl`` and hand it to the operating system."""
        _append(self.metrics, row)

    def append_histograms(self, step: int, histograms: dict[str, Any]) -> Row:
        """Append the histograms of one evaluation, by tag, to ``histograms.jsonl``; return the line's record."""
        record: dict[str, Any] = {"step": step, "histograms": histograms}
        _append(self.histograms, record)
        return record

    def cut_rows(self, last_step: int) -> list[Row]:
        """Drop the rows that a stopped run wrote beyond its checkpoint, at ``last_step``; return the others."""
        kept = rows_until(self.metrics, last_step)
        _write_rows(self.metrics, kept)
        return kept

    def cut_histograms(self, last_step: int) -> list[dict[str, Any]]:
        """Drop the histograms beyond the checkpoint in the same way; return the others, in order of their steps."""
        kept: list[dict[str, Any]] = rows_until(self.histograms, last_step)
        if self.histograms.exists():
            _write_rows(self.histograms, kept)
        return kept

    def write_result(self, result: dict[str, Any]) -> None:
        """Write ``result.json``, whole or not at all."""
        write_atomically(self.result, (json.dumps(finite(result), indent=2, ensure_ascii=False) + "\n").encode())

    def write_death(self, fingerprint: str, seed: int, error: str) -> None:
        """Write the result of a run whose process died before it could, if the run had begun."""
        if self.config.exists() and not self.result.exists():
            own = {"record": RECORD_VERSION, "fingerprint": fingerprint, "seed": seed, "metrics": {}}
            self.write_result({"status": "failed", **own, "error": error})


def _append(file: Path, record: Mapping[str, Any]) -> None:
    append(file, f"{json.dumps(finite(record))}\n".encode(), force=True)


def _write_rows(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_atomically(file, "".join(json.dumps(row) + "\n" for row in rows).encode())


def read_rows(metrics: Path) -> list[Row]:
    """Read the lines of a ``metrics.jsonl``; a last line that was cut short is left out."""
    try:
        return parsed_rows(read_text(metrics, errors="replace"))
    except OSError:
        return []


def last_row(metrics: Path) -> Row:
    """Return the last whole row of a ``metrics.jsonl``, empty where there is none, without reading the others."""
    most = 2**14
    try:
        while True:
            content, is_all = read_end(metrics, most)
            # Behind the last line break stands what is not whole yet.
            lines = [line for line in content.split(b"\n")[:-1] if line]
            if is_all or len(lines) > 1:
                found = parsed_rows(lines[-1].decode(errors="replace")) if lines else []
                return found[-1] if found else {}
            most *= 4
    except OSError:
        return {}


def parsed_rows(text: str) -> list[Row]:
    """Return the rows of a text that has one a line, up to the first line that is none."""
    rows: list[Row] = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows


def rows_until(file: Path, last_step: int) -> list[Any]:
    """Return the lines of a record up to a step: evaluations of ``metrics.jsonl``, or ``histograms.jsonl``'s."""
    return [row for row in read_rows(file) if (row.get("step") or 0) <= last_step]


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
