"""Which runs a multirun asked for: a list in its folder, for Hydra's own record there does not tell.

The list holds paths from the multirun's folder to the run folders, so that the output folder can be moved as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

LIST = "runs.txt"


def note_run(multirun: Path, run: Path) -> None:
    """Add a run to the list of its multirun; several processes may do so at once."""
    with (multirun / LIST).open("a", encoding="utf-8") as file:
        file.write(f"{os.path.relpath(run, multirun)}\n")


def with_listed_runs(paths: Iterable[Path]) -> list[Path]:
    """Return ``paths`` and, for each that is a multirun's folder, the run folders that it lists and that exist."""
    found = []
    for path in paths:
        found.append(path)
        if (path / LIST).is_file():
            lines = (path / LIST).read_text(encoding="utf-8").splitlines()
            listed = dict.fromkeys(Path(os.path.normpath(path / line)) for line in lines)
            found += [folder for folder in listed if folder.is_dir()]
    return found
