"""Reading and writing the files of folders that somebody else may have filled: plain files, and nothing else.

A run folder may come out of an archive. A symbolic link or a second name there would make bnexp write to a file that
lies somewhere else, and a FIFO or a device would make it wait for ever. So nothing is opened by its name alone: what
has been opened is looked at, through its descriptor, and what is no plain file is refused before a byte is exchanged.

All functions raise an OSError that names the file: ``ELOOP`` for a symbolic link, ``EISDIR`` for a folder, ``EMLINK``
for a file with a second name that would be written to, ``EINVAL`` for a FIFO, a socket or a device.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_AT_ONCE = os.O_NONBLOCK | os.O_CLOEXEC
_SAFELY = _AT_ONCE | os.O_NOFOLLOW


def read_bytes(path: Path, *, follow: bool = False) -> bytes:
    """Return the content of a plain file; with ``follow``, also of one that a link leads to."""
    with os.fdopen(_opened(path, os.O_RDONLY, follow=follow), "rb") as file:
        return file.read()


def read_text(path: Path, errors: str = "strict") -> str:
    """Return the content of a plain file in UTF-8; ``errors`` as in :func:`open`."""
    return read_bytes(path).decode("utf-8", errors)


def read_end(path: Path, most: int) -> tuple[bytes, bool]:
    """Return the last bytes of a plain file, ``most`` of them at the most, and whether that is all of it."""
    with os.fdopen(_opened(path, os.O_RDONLY), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        return file.read(most), size <= most


def append(path: Path, content: bytes, *, force: bool = False) -> None:
    """Add ``content`` to the end of a plain file, which is made where there is none.

    It goes out in one piece, so that several processes may append. With ``force`` the disk has it on return.
    """
    descriptor = _opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        if os.fstat(descriptor).st_nlink > 1:
            reason = "is one file under several names, and writing here would change them all"
            raise OSError(errno.EMLINK, reason, str(path))
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        if force:
            os.fsync(descriptor)
    except OSError as error:
        raise _naming(error, path) from error
    finally:
        os.close(descriptor)


def open_new(path: Path) -> BinaryIO:
    """Open a new, empty file for writing in the place of whatever file or link has this name."""
    with suppress(FileNotFoundError):
        path.unlink()
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666), "wb")


def is_plain(path: Path) -> bool:
    """Whether a plain file has this name; False for a link, even to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def make_folder(path: Path, below: Path) -> None:
    """Make a folder and those above it; no part of its path below the folder ``below`` may be a link.

    Where ``below`` itself lies is the user's choice, and may be a link.
    """
    below.mkdir(parents=True, exist_ok=True)
    place = below
    for part in path.relative_to(below).parts:
        place = place / part
        with suppress(FileExistsError):
            place.mkdir()
        mode = place.lstat().st_mode
        if not stat.S_ISDIR(mode):
            raise _refusal(place, mode)


def _opened(path: Path, flags: int, *, follow: bool = False) -> int:
    try:
        descriptor = os.open(str(path), flags | (_AT_ONCE if follow else _SAFELY), 0o666)
    except OSError as error:
        # ENXIO: nobody reads the FIFO, or it is a socket.
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _refusal(path, path.lstat().st_mode) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise _refusal(path, mode)


def _refusal(path: Path, mode: int) -> OSError:
    """What is no plain file, in words."""
    kinds = (
        (stat.S_ISLNK, errno.ELOOP, "is a symbolic link, which is not followed"),
        (stat.S_ISDIR, errno.EISDIR, "is a folder"),
        (stat.S_ISFIFO, errno.EINVAL, "is a FIFO and not a plain file"),
        (stat.S_ISSOCK, errno.EINVAL, "is a socket and not a plain file"),
        (stat.S_ISREG, errno.ENOTDIR, "is a file and not a folder"),
    )
    number, words = next(
        ((number, words) for is_one, number, words in kinds if is_one(mode)),
        (errno.EINVAL, "is a device and not a plain file"),
    )
    return OSError(number, words, str(path))


def _naming(error: OSError, path: Path) -> OSError:
    """Name the file in an error that names none, as that of a full disk."""
    return error if error.filename is not None else OSError(error.errno, error.strerror, str(path))
