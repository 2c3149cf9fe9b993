"""Which runs a multirun asked for: a list in its folder, for Hydra's own record there does not tell.

The list holds paths from the multirun's folder to the run folders, so that the output folder can be moved as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bnexp.errors import ConfigError
from bnexp.files import append, read_text

LIST = "runs.txt"


def note_run(multirun: Path, run: Path) -> None:
    """Add a run to the list of its multirun; several processes may do so at once."""
    append(multirun / LIST, f"{os.path.relpath(run, multirun)}\n".encode())


def with_listed_runs(paths: Iterable[Path]) -> list[Path]:
    """Return ``paths`` and, for each that is a multirun's folder, the run folders that it lists and that exist."""
    found = []
    for path in paths:
        found.append(path)
        found += [folder for folder in dict.fromkeys(listed_runs(path)) if os.path.isdir(folder)]  # noqa: PTH112  (no name is too odd for it)
    return found


def listed_runs(multirun: Path) -> list[Path]:
    """Return the run folders that a multirun's list names, there or not."""
    return [Path(os.path.normpath(multirun / line)) for line in _lines(multirun / LIST)]


def _lines(file: Path) -> list[str]:
    try:
        return read_text(file, errors="surrogateescape").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; remove it, or name the run folders themselves") from error
