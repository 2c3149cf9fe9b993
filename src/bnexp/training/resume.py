"""From which checkpoint a stopped run resumes: the newest that is whole, the run's own, and agrees with its rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

from bnexp.training.checkpoint import DamagedCheckpointError, load_checkpoint
from bnexp.training.record import RunFolder, chained, rows_until


def newest_state(
    folder: RunFolder, own: tuple[str, int], device: str, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the state that a run resumes from, on a kind of ``device``; None for the start.

    Where the last checkpoint cannot be used, the one before takes its place. ``say`` is called with a line about that.

    Args:
        folder: where the run trains.
        own: the run's fingerprint and seed.
        device: ``cpu``, ``cuda`` or ``mps``.
        say: prints a line.
    """
    problems = []
    for path in (folder.checkpoint, folder.previous_checkpoint):
        if not path.exists():
            continue
        try:
            state = _checked(path, folder, own, device)
        except DamagedCheckpointError as error:
            problems.append(str(error))
            continue
        if problems:
            say(f"{problems[0]}; training resumes from the checkpoint before it")
        if path == folder.previous_checkpoint:  # else the next save would put a damaged one in its place
            path.replace(folder.checkpoint)
        return state
    if problems:
        say(f"{'; '.join(problems)}; training starts anew")
    return None


def _checked(path: Path, folder: RunFolder, own: tuple[str, int], device: str) -> dict[str, Any]:
    state = load_checkpoint(path)
    if (state.get("fingerprint"), state.get("seed")) != own:
        raise DamagedCheckpointError(f"{path} belongs to another run")
    if state["device"] != device:  # whose generators have states of another form
        raise DamagedCheckpointError(f"{path} was written on another kind of device")
    progress = state["progress"]
    for file, digest in ((folder.metrics, progress["rows"]), (folder.histograms, progress["histograms"])):
        if reduce(chained, rows_until(file, progress["step"]), "") != digest:
            raise DamagedCheckpointError(f"{file} does not hold what was recorded before {path.name}")
    return state
