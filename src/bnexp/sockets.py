"""Where processes meet: a folder whose path is short enough for the sockets of ``multiprocessing``."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from multiprocessing import util
from multiprocessing.process import current_process

from bnexp.errors import ConfigError

MOST_BYTES = 103
"""Of the path of a Unix socket: 107 on Linux, 103 on a Mac."""

NAMES = len("/pymp-12345678/listener-12345678")
"""What ``multiprocessing`` puts behind the folder for temporary files."""


def make_room() -> None:
    """Have ``multiprocessing`` keep its sockets where their paths are short, whatever ``TMPDIR`` is.

    A process makes a folder for them once, among the temporary files, and removes it at its end. Where ``TMPDIR`` is
    too long, that folder alone is made elsewhere.

    Raises:
        ConfigError: there is no folder with a short path that may be written to.
    """
    if getattr(current_process(), "_config", {}).get("tempdir") or _has_room(tempfile.gettempdir()):
        return
    usual = tempfile.tempdir
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), "/tmp", "/var/tmp", "/dev/shm"):
        if folder and _has_room(folder):
            tempfile.tempdir = folder
            try:
                with suppress(OSError):
                    util.get_temp_dir()
                    return
            finally:
                tempfile.tempdir = usual
    raise ConfigError(
        f"TMPDIR={usual} is too long for the sockets of several processes; name a folder of at most "
        f"{MOST_BYTES - NAMES} bytes"
    )


def _has_room(folder: str) -> bool:
    return len(os.fsencode(folder)) + NAMES <= MOST_BYTES
