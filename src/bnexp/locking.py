"""Locks on files that another process may remove: who holds one holds the file that is at the path."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import BaseFileLock, FileLock


def acquire(path: Path, *, timeout: float = -1) -> AbstractContextManager[BaseFileLock]:
    """Lock the file at ``path``, and make it and its folder where they are missing.

    A lock on a file guards nothing once that file has been unlinked, moved or replaced: the next process makes a new
    one at the same path and locks that. So the file is looked at again after it has been locked, and the lock is taken
    anew until the locked file is the one at the path. Whoever removes a lock file does so while holding it.

    Args:
        path: the lock file.
        timeout: seconds to wait for another process; 0 tries once, a negative number waits as long as it takes.

    Returns:
        The lock, held; leaving its ``with`` block lets go of it.

    Raises:
        filelock.Timeout: another process holds it.
        OSError: no file can be made there.
    """
    end = time.monotonic() + timeout
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            held = lock.acquire(timeout=timeout if timeout <= 0 else max(end - time.monotonic(), 0))
        except FileNotFoundError:
            continue  # the folder was removed since: the next turn makes it again, or fails with the reason
        if _is_at(lock, path):
            return held
        lock.release()


def _is_at(lock: BaseFileLock, path: Path) -> bool:
    """Whether the file that is locked is the one at the path."""
    # filelock lends the descriptor out in no other way to every kind of file system and in every release.
    descriptor = lock._context.lock_file_fd
    assert descriptor is not None
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
