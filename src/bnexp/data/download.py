"""How a published file comes onto the disk: once, whole and with the right checksum, whoever else asks for it."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from filelock import FileLock

from bnexp.atomic import atomic_file
from bnexp.data.progress import progress

TIMEOUT = 20.0  # seconds without a byte before a connection counts as stalled
ATTEMPTS = 3  # rounds over all mirrors
PAUSE = 0.5  # seconds before the second round, doubled before each further one


@dataclass(frozen=True)
class Archive:
    """A published ``.gz`` or ``.tar.gz`` file, and what is unpacked from it.

    Attributes:
        urls: its mirrors, tried in turn.
        md5: the checksum of the archive.
        path: where the archive lies; one that was placed there by hand is used.
        files: where its wanted files lie, below the archive's own folder and under their names in the archive.
    """

    urls: Sequence[str]
    md5: str
    path: Path
    files: Sequence[Path]

    def is_unpacked(self) -> bool:
        """Whether all its files are there."""
        return all(file.is_file() for file in self.files)


def obtain(archive: Archive) -> None:
    """Download and unpack ``archive`` where a file of it is missing; the other callers wait for the first.

    Nothing is written where the files are there, so a read-only folder will do. Raises OSError where the archive
    cannot be had from any mirror, or the folder cannot be written.
    """
    if archive.is_unpacked():
        return
    with _alone(archive.path):
        if archive.is_unpacked():
            return
        if not (archive.path.is_file() and _md5(archive.path) == archive.md5):
            _download(archive.urls, archive.path, archive.md5)
        _unpack(archive)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of ``path`` in its folder, which is made; leave neither the lock nor an empty folder behind.

    Whoever comes between the removal and one who still waits downloads a second time; files are replaced as a whole,
    so nothing else comes of it.
    """
    made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    try:
        with FileLock(lock):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    finally:
        for folder in made:
            with suppress(OSError):  # raised where it is not empty
                folder.rmdir()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(urls: Sequence[str], path: Path, md5: str) -> None:
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        for url in urls:
            try:
                _transfer(url, path, md5)
            except (OSError, HTTPException) as error:
                problem = f"{url}: {error}"
            else:
                return
    raise OSError(problem)


def _transfer(url: str, path: Path, md5: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with (
        urlopen(Request(url, headers={"User-Agent": "bnexp"}), timeout=TIMEOUT) as response,
        atomic_file(path) as file,
        progress(f"Downloading {path.name}", response.length) as advance,
    ):
        while chunk := response.read(1 << 16):
            digest.update(chunk)
            file.write(chunk)
            advance(len(chunk))
        if digest.hexdigest() != md5:
            raise OSError(f"what arrived has the MD5 {digest.hexdigest()}, not {md5}")


def _unpack(archive: Archive) -> None:
    """Copy the wanted files out one by one: the archive decides neither their paths nor their kind."""
    if not archive.path.name.endswith(".tar.gz"):
        with gzip.open(archive.path) as unzipped, atomic_file(archive.files[0]) as file:
            shutil.copyfileobj(unzipped, file)
        return
    wanted = {path.relative_to(archive.path.parent).as_posix(): path for path in archive.files}
    with tarfile.open(archive.path) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name in wanted and member.isfile() else None
            if content is not None:
                wanted[member.name].parent.mkdir(exist_ok=True)
                with atomic_file(wanted[member.name]) as file:
                    shutil.copyfileobj(content, file)
