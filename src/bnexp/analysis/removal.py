"""What of an output folder can be removed, and removing it: runs by their state, and what killed processes left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from bnexp.analysis.states import find_states, is_run_folder, state
from bnexp.atomic import LEFTOVERS
from bnexp.data.cache import kept_files
from bnexp.locking import acquire
from bnexp.training.record import RunFolder

OLD = 3600.0
"""Seconds after which a half-written file outside the run folders, which have locks, counts as given up."""


@dataclass(frozen=True)
class Removable:
    """Something that can be removed.

    Attributes:
        path: a run folder, or a file.
        kind: the run's state, ``leftovers`` or ``cache``.
        files: what will be removed of it.
    """

    path: Path
    kind: str
    files: tuple[Path, ...]

    @property
    def num_bytes(self) -> int:
        """The size of its files."""
        return sum(file.lstat().st_size for file in self.files if os.path.lexists(file))


def find_removable(paths: Iterable[Path], kinds: Iterable[str]) -> list[Removable]:
    """Return what of ``kinds`` (states of runs, ``leftovers``) lies at or below ``paths``; no link is followed."""
    wanted, folders = set(kinds), [path.resolve() for path in paths]
    found = [
        Removable(one.path, one.status, tuple(_files(one.path)))
        for one in find_states(folders)
        if one.status in wanted and _is_within(one.path, folders)
    ]
    if "leftovers" in wanted:
        taken = {one.path for one in found}
        found += [one for one in _leftovers(folders) if one.path.parent not in taken]
    return found


def find_cached() -> list[Removable]:
    """Return the files of the cache of decoded data, the one that was not used for the longest time first."""
    return [Removable(file, "cache", (file,)) for file in kept_files()]


def remove(removable: Removable) -> str | None:
    """Remove it; return a line about why not, or about what is left, or None.

    A run is removed under its lock, and only if it is still what it was found to be. Files that bnexp did not write
    stay, and so does their folder.
    """
    run = removable.path if removable.path.is_dir() else removable.path.parent
    if not is_run_folder(run):
        return _attempt(lambda: removable.path.unlink(missing_ok=True), removable.path)
    try:
        with acquire(RunFolder(run).lock, timeout=0):
            if removable.kind != "leftovers" and state(run).status != removable.kind:
                return f"{run}: is {state(run).status} by now; left alone"
            for file in removable.files:
                file.unlink(missing_ok=True)
            return None if removable.kind == "leftovers" else _remove_folder(run)
    except Timeout:
        return f"{run}: another process is training it; left alone"
    except OSError as error:
        return f"{run}: {error.strerror}"


def _remove_folder(run: Path) -> str | None:
    """Remove a run's folder, and the folder of its arm if that was its last; its lock must be held.

    The lock goes last. From then on another process may make the run anew, and its folder then stays.
    """
    lock = RunFolder(run).lock
    with suppress(OSError):  # there is none, or it holds files of somebody else's
        RunFolder(run).another().path.rmdir()
    others = sorted(path.name for path in run.iterdir() if path != lock)
    lock.unlink()
    if others:
        return f"{run}: holds files that bnexp did not write, which stay: {', '.join(others)}"
    with suppress(OSError):  # not empty any more
        run.rmdir()
        run.parent.rmdir()
    return None


def _attempt(do: Callable[[], None], path: Path) -> str | None:
    try:
        do()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None


def _files(run: Path) -> Iterator[Path]:
    """Yield the files of a run that are there, but not its lock."""
    folder = RunFolder(run)
    files = [*folder.files(), *run.glob(LEFTOVERS), *folder.another().files(), *folder.another().path.glob(LEFTOVERS)]
    yield from (file for file in files if os.path.lexists(file))


def _leftovers(folders: Iterable[Path]) -> Iterator[Removable]:
    """Yield half-written files: those in run folders that nobody trains, and old ones elsewhere."""
    for folder in dict.fromkeys(folders):
        for place, _, _ in os.walk(folder):
            is_run = is_run_folder(Path(place))
            if is_run and state(Path(place)).status == "running":
                continue
            for file in sorted(Path(place).glob(LEFTOVERS)):
                if is_run or time.time() - file.lstat().st_mtime > OLD:
                    yield Removable(file, "leftovers", (file,))


def _is_within(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a run lies below one of ``folders`` (a study may list others), as a folder of its own and not a link."""
    return path.resolve() == path and path.is_dir() and any(path.is_relative_to(folder) for folder in folders)
