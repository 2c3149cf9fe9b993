"""How the runs of a study were launched: how many, and how many at a time. Their seconds cannot be read without it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bnexp.files import append, read_text
from bnexp.studies.launch import Launcher

FILE = "launches.jsonl"


@dataclass(frozen=True)
class Launch:
    """One time that runs were launched: ``at_a_time`` is None where only the launcher knows."""

    runs: int
    at_a_time: int | None
    launcher: str


def record_launch(folder: Path, launcher: Launcher, num_jobs: int) -> None:
    """Append a line to ``launches.jsonl`` in a study's folder, before the runs start."""
    known = launcher.at_a_time is not None and launcher.at_a_time > 0  # joblib's −1 is "as many as there are cores"
    at_a_time = min(launcher.at_a_time or 0, num_jobs) if known else None
    line = json.dumps(asdict(Launch(num_jobs, at_a_time, launcher.name))) + "\n"
    append(folder / FILE, line.encode())


def read_launches(folder: Path) -> list[Launch]:
    """Read the lines; what is damaged is left out."""
    try:
        lines = read_text(folder / FILE, errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            node = json.loads(line)
            at_a_time = None if node["at_a_time"] is None else int(node["at_a_time"])
            found.append(Launch(int(node["runs"]), at_a_time, str(node["launcher"])))
        except (ValueError, LookupError, TypeError, RecursionError):
            continue
    return found
