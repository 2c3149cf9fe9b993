"""What state each run below a folder is in: queued, running, done, diverged, failed or interrupted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import Timeout

from bnexp import plain_yaml
from bnexp.analysis.multirun import LIST, listed_runs
from bnexp.data.progress import progress
from bnexp.files import read_bytes
from bnexp.locking import acquire
from bnexp.training.owner import Owner, read_owner
from bnexp.training.record import FINISHED, NAME_DIGITS, RERUN, Row, RunFolder, last_row
from bnexp.training.seal import DAMAGED, read_result

STATUSES = ("running", "queued", "interrupted", "failed", DAMAGED, "diverged", "done")
RUN_NAME = re.compile(rf"[0-9a-f]{{{NAME_DIGITS}}}-s\d+")
"""The name of a run's folder, which its user may change: fingerprint and seed."""


@dataclass(frozen=True)
class State:
    """How a run stands.

    Attributes:
        path: its folder.
        status: one of :data:`STATUSES`. A run is queued where a study asks for it and it has not begun, interrupted
            where it has begun, has no result and nobody is training it, damaged where its files are not those that
            were sealed at its end.
        owner: who is training it.
        row: its last evaluation; empty before the first.
        num_steps: how many steps it takes; None where that cannot be told yet.
        error: why it failed.
    """

    path: Path
    status: str
    owner: Owner | None
    row: Row
    num_steps: int | None
    error: str

    @property
    def step(self) -> int:
        """The steps up to the last evaluation."""
        return int(self.row.get("step") or 0)


def find_states(paths: Iterable[Path], *, is_live: bool = False) -> list[State]:
    """Return the states of all runs at or below ``paths``, and of those that a study there asks for; by path.

    Where that takes long it says how far it is, unless ``is_live``: the screen is somebody else's then.
    """
    folders = {folder.resolve(): folder for path in paths for folder in [*run_folders(path), *_asked_for(path)]}
    found = []
    shown = (
        nullcontext(lambda units: None) if is_live else progress(f"reading {len(folders)} run folders", len(folders))
    )
    with shown as advance:
        for folder in sorted(folders.values()):
            found.append(state(folder))
            advance(1)
    return found


def run_folders(path: Path) -> Iterator[Path]:
    """Yield the run folders at or below ``path``; links are not followed."""
    for folder, folders, files in os.walk(path):
        if is_run_folder(Path(folder)) and {"config.yaml", "result.json", "seal.json", ".lock"} & set(files):
            if RERUN in folders:
                folders.remove(RERUN)
            yield Path(folder)


def is_run_folder(path: Path) -> bool:
    """Whether a folder has the name that bnexp gives to a run's folder, or holds a finished run under another name."""
    return RUN_NAME.fullmatch(path.resolve().name) is not None or RunFolder(path).seal.exists()


def state(path: Path) -> State:
    """Return the state of the run at ``path``."""
    folder = RunFolder(path)
    owner = read_owner(folder.owner)
    if owner is not None and is_at_work(owner, folder):
        at_work = folder.another() if folder.another().path.is_dir() else folder
        row = last_row(at_work.metrics)
        return State(path, "running", owner, row, _num_steps(at_work, row), "")
    row = last_row(folder.metrics)
    result = read_result(folder)
    if result is None:
        status = "interrupted" if path.exists() else "queued"
        return State(path, status, None, row, _num_steps(folder, row), "")
    status = str(result["status"])
    num_steps = result.get("steps") if status in FINISHED else _num_steps(folder, row)
    return State(path, status, None, row, num_steps, str(result.get("error", "")))


def is_at_work(owner: Owner, folder: RunFolder) -> bool:
    """Whether the process that says so is training; one of another machine is known by the lock that it holds."""
    if owner.is_here():
        return owner.is_alive()
    try:
        with acquire(folder.lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _num_steps(folder: RunFolder, row: Row) -> int | None:
    try:
        config: Any = plain_yaml.load(read_bytes(folder.config))
        steps: float = config["training"]["epochs"] * (row["step"] or 0) / (row["epoch"] or 0)
        return round(steps)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, yaml.YAMLError):
        return None


def _asked_for(path: Path) -> Iterator[Path]:
    """Yield the run folders that the studies and multiruns at or below ``path`` list."""
    for folder, _, files in os.walk(path):
        place = Path(folder)
        if LIST in files:
            yield from listed_runs(place)
        if "study.yaml" in files and place.parent.name == "studies":
            yield from (Path(os.path.normpath(place / "../.." / run)) for run in _runs_of_study(place / "study.yaml"))


def _runs_of_study(file: Path) -> list[str]:
    try:
        plan: Any = plain_yaml.load(read_bytes(file))
        return [str(run) for arm in plan["arms"].values() for run in arm["runs"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return []
