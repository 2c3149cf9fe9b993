"""What is expensive to compute is kept between runs, and computed again where it was damaged."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnexp.atomic import LEFTOVERS, atomic_file

log = logging.getLogger(__name__)

MOST_BYTES = 2 * 10**9
"""Of all that is kept; what was not used for the longest time makes room."""

OLD = 3600.0
"""Seconds after which a half-written file counts as given up."""

_NAME = re.compile(r"[0-9a-f]{64}\.npz")

Kept = tuple[NDArray[np.uint8] | NDArray[np.float32], str]
"""An array, and a text about it."""


def cached(room: str, key: str, num_examples: int, compute: Callable[[], Kept]) -> Kept:
    """Return what is kept for ``key`` in ``$XDG_CACHE_HOME/bnexp/<room>``, or compute and keep it.

    A file is taken only if it holds the SHA-256 of its key, array and text, and so many examples (N, C, H, W); anything
    else is computed again. Whoever writes a file with a right checksum is believed: the folder must be the user's own.
    One that cannot be written costs the time of the next run and nothing else.
    """
    folder = cache_folder(room)
    if folder is None:
        log.warning("there is no home folder, so the decoded data is not kept for the next run; set XDG_CACHE_HOME")
        return compute()
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"
    kept = _read(path, key)
    if kept is not None and kept[0].ndim == 4 and len(kept[0]) == num_examples:
        with suppress(OSError):
            path.touch()  # the time of its last use
        return kept
    array, text = compute()
    if array.nbytes > MOST_BYTES:
        return array, text
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.savez(file, array=array, text=np.array(text), sha256=np.array(_digest(key, array, text)))
        _make_room(folder, path)
    except OSError as error:
        log.warning(
            "the decoded data cannot be kept for the next run (%s); set XDG_CACHE_HOME to another folder", error
        )
    return array, text


def cache_folder(room: str = "") -> Path | None:
    """Return where ``room`` lies; None where there is no home folder to put it into."""
    try:
        top = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser()
    except RuntimeError:  # HOME is not set, and the user has no entry
        return None
    return top / "bnexp" / room


def kept_files() -> list[Path]:
    """Return the files of all rooms, those used last at the end. No link is followed, and no other file named."""
    top = cache_folder()
    rooms = [] if top is None or not top.is_dir() else [entry for entry in top.iterdir() if _is_folder(entry)]
    files = [file for room in rooms for file in room.iterdir() if _is_ours(file)]
    return sorted(files, key=lambda file: (_status(file).st_mtime, file.name))


def _read(path: Path, key: str) -> Kept | None:
    """Return what ``path`` holds, or None where there is nothing, or nothing that belongs to the key."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            array, text, digest = found["array"], str(found["text"]), str(found["sha256"])
    except Exception:  # a damaged archive raises nearly anything
        return None
    return (array, text) if array.dtype in (np.uint8, np.float32) and digest == _digest(key, array, text) else None


def _digest(key: str, array: NDArray[np.uint8] | NDArray[np.float32], text: str) -> str:
    digest = hashlib.sha256(f"{key}\0{array.dtype.str}\0{array.shape}\0{text}\0".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _make_room(folder: Path, latest: Path) -> None:
    """Remove what was not used for the longest time, until all rooms together keep to ``MOST_BYTES``."""
    files = [file for file in kept_files() if file != latest]
    total = _status(latest).st_size + sum(_status(file).st_size for file in files)
    for file in files:
        is_given_up = file.suffix == ".part" and time.time() - _status(file).st_mtime > OLD
        if is_given_up or (total > MOST_BYTES and file.suffix != ".part"):
            total -= _status(file).st_size
            file.unlink(missing_ok=True)


def _is_ours(file: Path) -> bool:
    return (bool(_NAME.fullmatch(file.name)) or file.match(LEFTOVERS)) and file.is_file() and not file.is_symlink()


def _is_folder(entry: Path) -> bool:
    return entry.is_dir() and not entry.is_symlink()


def _status(file: Path) -> os.stat_result:
    """Return what is known of a file; of one that another process has removed by now, nothing."""
    try:
        return file.lstat()
    except OSError:
        return os.stat_result((0,) * 10)
