"""Files that are old or new, never half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

LEFTOVERS = ".*.part"
"""What the file names look like that a process leaves behind if it is killed while it writes."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError of the block that names no file, as that of a write to a full disk, name ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def atomic_file(path: Path, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` once the block has ended, and vanishes if the block raises.

    It is written as a ``.part`` file beside ``path`` whose name nobody else uses, and forced to the disk before it is
    renamed; then the folder is. However many processes write the same ``path``, and whenever the power fails, a reader
    finds the old file or a new one.

    With ``previous`` the old file goes there. If the process is killed between the two renames, it is found there.

    Raises:
        OSError: naming ``path`` where the cause names no file.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            path.replace(previous)
        part.replace(path)
        _force_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
            if previous is not None and previous.exists() and not path.exists():  # between the two renames
                previous.replace(path)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(part)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_atomically(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Put a file with ``content`` in the place of ``path``, all or nothing; see :func:`atomic_file`."""
    with atomic_file(path, previous) as file:
        file.write(content)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed left in ``folder``; nobody else may be writing there."""
    for part in folder.glob(LEFTOVERS):
        part.unlink(missing_ok=True)


def _force_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
