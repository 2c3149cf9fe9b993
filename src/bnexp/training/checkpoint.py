"""Saving a run's state so that it goes on as if it had never stopped."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from bnexp.atomic import write_atomically
from bnexp.files import read_bytes

DIGEST_LENGTH = 64
"""Hexadecimal digits of a SHA-256."""


class DamagedCheckpointError(Exception):
    """The file is no checkpoint, or its content does not agree with its checksum."""


def save_checkpoint(path: Path, state: dict[str, Any], previous: Path) -> None:
    """Write ``state`` (tensors, numbers, strings, and dicts and lists of them) to ``path``, all or nothing.

    The checkpoint that was there goes to ``previous``, for the case that the new one is damaged one day. Behind
    PyTorch's zip file stands the SHA-256 of all its bytes, where zip has room for a comment; PyTorch itself writes a
    CRC-32 for each tensor but compares none on reading.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = bytearray(buffer.getvalue())
    content[-2:] = DIGEST_LENGTH.to_bytes(2, "little")  # the length of the comment
    write_atomically(path, bytes(content + _digest(content)), previous)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, without running any code that it may contain.

    Raises:
        DamagedCheckpointError: where it cannot be read or the checksum does not fit.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise DamagedCheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if content[-DIGEST_LENGTH:] != _digest(content[:-DIGEST_LENGTH]):
        raise DamagedCheckpointError(f"{path} is damaged: its checksum does not fit")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise DamagedCheckpointError(f"{path} is not a readable checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict):
        raise DamagedCheckpointError(f"{path} is not a checkpoint")
    return state


def _digest(content: bytes | bytearray) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
