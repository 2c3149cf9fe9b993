"""Files that are old or new, never half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` once the block has ended, and vanishes if the block raises.

    It is written as a ``.part`` file beside ``path`` whose name nobody else uses, and forced to the disk before it is
    renamed; then the folder is. However many processes write the same ``path``, and whenever the power fails, a reader
    finds the old file or a new one.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_atomically(path: Path, content: bytes) -> None:
    """Put a file with ``content`` in the place of ``path``, all or nothing."""
    with atomic_file(path) as file:
        file.write(content)
