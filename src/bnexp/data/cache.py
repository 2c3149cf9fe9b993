"""What is expensive to compute is kept between runs, and computed again where it was damaged."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bnexp.atomic import atomic_file

log = logging.getLogger(__name__)


def cached(room: str, key: str, compute: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the array kept for ``key`` in ``$XDG_CACHE_HOME/bnexp/<room>``, or compute and keep it.

    A folder that cannot be written costs the time of the next run and nothing else.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bnexp" / room
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"
    kept = _read(path)
    if kept is not None:
        return kept
    array = compute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.savez(file, array=array)
    except OSError as error:
        log.warning(
            "the decoded data cannot be kept for the next run (%s); set XDG_CACHE_HOME to another folder", error
        )
    return array


def _read(path: Path) -> NDArray[np.uint8] | None:
    """Return the array in ``path``, or None where there is none, or its checksum (a zip file's CRC-32) is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return None
        with np.load(path, allow_pickle=False) as arrays:
            array: NDArray[np.uint8] = arrays["array"]
            return array
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
