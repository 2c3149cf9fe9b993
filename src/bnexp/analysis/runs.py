"""Reading run folders: everything that judges runs starts here, and nothing here touches a live network."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from bnexp import plain_yaml
from bnexp.data.progress import progress
from bnexp.files import read_bytes
from bnexp.training.record import FINISHED, RERUN, Row, RunFolder, read_rows
from bnexp.training.seal import DamagedRunError, read_record, read_result


class NoRunError(Exception):
    """The folder holds no run, or one whose record is damaged; the message says which and why."""


@dataclass(frozen=True)
class Run:
    """The record of one run.

    Attributes:
        path: its folder.
        config: the resolved configuration, with the names of the choices under ``choices``.
        result: ``result.json``.
        rows: the evaluations, from ``metrics.jsonl``.
    """

    path: Path
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    rows: Sequence[Row]

    @property
    def status(self) -> str:
        """``done``, ``diverged``, ``failed`` or ``interrupted``."""
        return str(self.result["status"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config["seed"])

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The final metrics; empty for a run without an answer."""
        metrics: Mapping[str, float | None] = self.result["metrics"]
        return metrics

    def resolution(self, metric: str) -> float:
        """The smallest step in which ``metric`` can change: 1/N for an accuracy on N examples, else 0."""
        num_examples = self.result.get("examples", {}).get(metric.removesuffix("/accuracy").removeprefix("best/"))
        return 1 / num_examples if num_examples and metric.endswith("/accuracy") else 0.0

    @cached_property
    def values(self) -> dict[str, Any]:
        """Choices and settings as on the command line: ``{"norm": "batch", "norm.eps": 1e-05, "seed": 0, …}``."""
        found: dict[str, Any] = {**self.config["choices"], "seed": self.seed}
        for group in self.config["choices"]:
            node = self.config.get(group)
            if isinstance(node, dict):
                found |= {f"{group}.{key}": value for key, value in node.items() if not key.startswith("_")}
        return found


def read_run(folder: Path) -> Run:
    """Read one run folder; a finished run's in full, against its seal.

    Raises:
        NoRunError: where files are missing or damaged, or belong to different runs.
    """
    try:
        run = _finished(folder) or _unfinished(folder)
        if not _is_sound(run):
            raise NoRunError(f"{folder}: damaged (values of a kind that bnexp does not write)")
        _ = run.status, run.seed, run.metrics["test/accuracy"] if run.status in FINISHED else None, run.values
    except DamagedRunError as error:
        raise NoRunError(str(error)) from error
    except FileNotFoundError as error:
        raise NoRunError(f"{folder}: no {Path(error.filename).name}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise NoRunError(f"{folder}: damaged ({type(error).__name__}: {str(error).splitlines()[0]})") from error
    return run


def _finished(folder: Path) -> Run | None:
    record = read_record(RunFolder(folder))
    return None if record is None else Run(folder, record.config, record.result, record.rows)


def _unfinished(folder: Path) -> Run:
    """Read a run that failed or was interrupted: it counts as one without an answer, and its numbers do not count."""
    files = RunFolder(folder)
    config = plain_yaml.load(read_bytes(files.config))
    result = read_result(files)
    if result is None:
        read_bytes(files.result)  # names the file that is missing
        raise NoRunError(f"{folder}: not sealed; the command that trained it resumes it, and seals it at its end")
    return Run(folder, config, result, read_rows(files.metrics))


def find_runs(paths: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """Read all run folders at or below ``paths``, in order of their paths, each once.

    Returns:
        The runs, and a line for each folder that looks like a run and could not be read.
    """
    folders = {folder.resolve(): folder for path in paths for folder in _folders_with_a_record(path)}
    runs, left_out = [], []
    with progress(f"reading {len(folders)} run folders", len(folders)) as advance:
        for folder in sorted(folders.values()):
            try:
                runs.append(read_run(folder))
            except NoRunError as error:
                left_out.append(str(error))
            advance(1)
    return runs, left_out


def _is_sound(run: Run) -> bool:
    metrics = all(value is None or math.isfinite(value) for value in run.metrics.values())
    tables = all(isinstance(run.result.get(key, {}), dict) for key in ("seconds", "environment", "examples"))
    sizes = tables and all(isinstance(size, int) and size > 0 for size in run.result.get("examples", {}).values())
    return metrics and sizes and all(isinstance(key, str) for key in run.values)


def _folders_with_a_record(path: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(path):
        if {"config.yaml", "result.json"} & set(files):
            if RERUN in folders:
                folders.remove(RERUN)
            yield Path(folder)
