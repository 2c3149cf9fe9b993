"""The seal of a finished run: one file with the digests of all others, and the one check that reads it.

A record is several files, and each of them alone looks right wherever it lies. So a finished run gets a ``seal.json``
that says which files belong together and what is in them, to the bit; a run without one has no answer. Every reader of
finished runs comes through here: a file that was edited, cut short, exchanged with another run's or hit by a flipped
bit is found. Who changes a file and rewrites the seal to fit cannot be found out.

A whole folder may be moved or renamed: the seal says whose record it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bnexp import plain_yaml
from bnexp.atomic import write_atomically
from bnexp.files import read_bytes
from bnexp.training.record import EVENTS, FINISHED, RECORD_VERSION, Row, RunFolder, parsed_rows

ODD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError)
"""What reading raises where a file holds something other than bnexp writes: a stranger can seal whatever they like."""

DAMAGED = "damaged"
"""What the status of a run is whose record does not agree with its seal."""


class DamagedRunError(Exception):
    """The record of a run is not the one that was sealed; the message says which file, in one line."""


@dataclass(frozen=True)
class Seal:
    """Whose record a folder holds, and the SHA-256 of each of its files by name."""

    fingerprint: str
    seed: int
    files: Mapping[str, str]


class Record(NamedTuple):
    """The record of a finished run, as it was sealed."""

    config: dict[str, Any]
    result: dict[str, Any]
    rows: list[Row]


def seal(folder: RunFolder, fingerprint: str, seed: int) -> None:
    """Seal the record that lies in a folder; its result says that it is finished."""
    present = [file for file in folder.files() if file.exists() and file not in _loose(folder)]
    files = {file.name: hashlib.sha256(read_bytes(file)).hexdigest() for file in present}
    content = {"record": RECORD_VERSION, "fingerprint": fingerprint, "seed": seed, "files": files}
    content["seal"] = _own_digest(content)
    write_atomically(folder.seal, (json.dumps(content, indent=2) + "\n").encode())


def read_seal(folder: RunFolder) -> Seal | None:
    """Return a folder's seal, or None where there is none.

    Raises:
        DamagedRunError: where it is damaged itself.
    """
    try:
        content = json.loads(read_bytes(folder.seal))
        if content.pop("seal") != _own_digest(content) or content["record"] != RECORD_VERSION:
            raise DamagedRunError(
                f"{folder.seal}: damaged, or of another version of bnexp; train the run again with rerun=true"
            )
        return Seal(content["fingerprint"], content["seed"], content["files"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedRunError(f"{folder.seal}: cannot be read ({error.strerror})") from error
    except ODD as error:
        raise DamagedRunError(
            f"{folder.seal}: damaged ({type(error).__name__}); train the run again with rerun=true"
        ) from error


def whose(folder: RunFolder) -> tuple[str, int] | None:
    """Return the fingerprint and seed of the run whose record lies in a folder, finished or not; None where none does.

    Raises:
        DamagedRunError: where that cannot be read.
    """
    if (own := read_seal(folder)) is not None:
        return own.fingerprint, own.seed
    try:
        config: Any = plain_yaml.load(read_bytes(folder.config))
        return str(config["fingerprint"]), int(config["seed"])
    except FileNotFoundError:
        return None
    except (OSError, *ODD) as error:
        raise DamagedRunError(f"{folder.config}: damaged ({type(error).__name__})") from error


def sealed_content(folder: RunFolder, own: Seal, name: str) -> bytes:
    """Return the content of a file of the record, which is what was sealed, to the bit.

    Raises:
        DamagedRunError: where it is not.
    """
    file = folder.path / name
    if name not in own.files:
        raise DamagedRunError(f"{file}: is not among the files that were sealed; remove it")
    try:
        content = read_bytes(file)
    except OSError as error:
        raise DamagedRunError(f"{file}: cannot be read ({error.strerror}), and the run was sealed with it") from error
    if hashlib.sha256(content).hexdigest() != own.files[name]:
        raise DamagedRunError(
            f"{file}: is not what was sealed at the run's end; restore it, or train the run again with rerun=true"
        )
    return content


def check_files(folder: RunFolder, *files: Path) -> None:
    """Raise :class:`DamagedRunError` where one of these files of a finished run is not what was sealed."""
    if (own := read_seal(folder)) is not None:
        for file in files:
            sealed_content(folder, own, file.name)


def check_events(folder: RunFolder) -> None:
    """Raise :class:`DamagedRunError` where the event files of a finished run are not those that were sealed."""
    if (own := read_seal(folder)) is not None:
        sealed = {name for name in own.files if name.startswith(EVENTS)}
        for name in sorted(sealed | {file.name for file in folder.event_files()}):
            sealed_content(folder, own, name)


def read_record(folder: RunFolder) -> Record | None:
    """Read the record of a finished run, every file in full; return None where no run has finished here.

    Raises:
        DamagedRunError: where the record is not what was sealed, or is of another version of bnexp.
    """
    own = read_seal(folder)
    if own is None:
        _refuse_old_version(folder)
        return None
    try:
        return _read(folder, own)
    except ODD as error:
        raise DamagedRunError(
            f"{folder.path}: damaged ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
        ) from error


def _read(folder: RunFolder, own: Seal) -> Record:
    config: Any = plain_yaml.load(sealed_content(folder, own, folder.config.name))
    result: Any = json.loads(sealed_content(folder, own, folder.result.name))
    rows = sealed_content(folder, own, folder.metrics.name) if _belongs(folder.metrics, own) else b""
    if _belongs(folder.histograms, own):
        sealed_content(folder, own, folder.histograms.name)
    if (result["fingerprint"], result["seed"], config["seed"]) != (own.fingerprint, own.seed, own.seed):
        raise DamagedRunError(f"{folder.path}: its files belong to different runs; train the run again with rerun=true")
    if not isinstance(result["status"], str) or not isinstance(config, dict):
        raise TypeError("a status or a configuration that is none")
    return Record(config, result, parsed_rows(rows.decode(errors="replace")))


def read_result(folder: RunFolder) -> dict[str, Any] | None:
    """Return the result of a run, or None where it has none: it has not begun, or not ended.

    A finished run has been checked against its seal (again only where a file's size, time or inode has changed); where
    it does not agree the status is ``damaged``, with the reason as ``error``. Whoever judges a run takes
    :func:`read_record`.
    """
    try:
        result = _checked(str(folder.path), tuple(_stamps(folder)))
    except DamagedRunError as error:
        return {"status": DAMAGED, "metrics": {}, "seconds": {}, "error": str(error)}
    return dict(result) if result is not None else _unfinished(folder)


def adopt(folder: RunFolder) -> None:
    """Put the record of a run that was trained again in the place of the old one, if it is finished.

    The new seal comes last. A process that is killed on the way leaves a folder without a seal, which holds no answer,
    and the rest of the new record in it: the next call goes on from there.
    """
    new = folder.another()
    own = read_seal(new)
    if own is None:
        return
    folder.seal.unlink(missing_ok=True)
    for file in folder.files():
        if file != folder.owner and file.name not in own.files:
            file.unlink(missing_ok=True)
    for file in [*(new.path / name for name in own.files), new.seal]:
        if file.exists():
            file.replace(folder.path / file.name)
    for file in new.files():
        file.unlink(missing_ok=True)
    new.path.rmdir()


@lru_cache(maxsize=10_000)
def _checked(path: str, stamps: tuple[Any, ...]) -> dict[str, Any] | None:
    """Return the checked result of a finished run; ``stamps`` are there for the cache alone."""
    record = read_record(RunFolder(Path(path)))
    return None if record is None else record.result


def _stamps(folder: RunFolder) -> Iterator[tuple[int, int, int] | None]:
    for file in (folder.seal, folder.config, folder.result, folder.metrics, folder.histograms):
        try:
            found = os.lstat(file)
            yield found.st_size, found.st_mtime_ns, found.st_ino
        except OSError:
            yield None


def _unfinished(folder: RunFolder) -> dict[str, Any] | None:
    """Return the result of a run that failed or was interrupted."""
    result = _raw_result(folder)
    return result if result is not None and result["status"] not in FINISHED else None


def _refuse_old_version(folder: RunFolder) -> None:
    result = _raw_result(folder)
    if result is not None and result["status"] in FINISHED and result.get("record") != RECORD_VERSION:
        raise DamagedRunError(
            f"{folder.path}: recorded by an earlier version of bnexp, which did not seal its runs; train it again, or "
            "move it out of the way"
        )


def _raw_result(folder: RunFolder) -> dict[str, Any] | None:
    try:
        result = json.loads(read_bytes(folder.result))
    except (OSError, *ODD):
        return None
    return result if isinstance(result, dict) and isinstance(result.get("status"), str) else None


def _belongs(file: Path, own: Seal) -> bool:
    """Whether a file that not every run has is part of the record; one that is not sealed must not lie there."""
    return file.name in own.files or os.path.lexists(file)


def _loose(folder: RunFolder) -> tuple[Path, ...]:
    """The files of a run folder that are no part of its record."""
    return folder.seal, folder.owner, folder.previous_checkpoint, folder.traceback


def _own_digest(content: Mapping[str, Any]) -> str:
    """Hash a seal without this digest, so that a flipped bit in it is found too."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
