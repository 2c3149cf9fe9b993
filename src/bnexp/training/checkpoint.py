"""Saving a run's state so that it goes on as if it had never stopped."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from bnexp.atomic import write_atomically


class DamagedCheckpointError(Exception):
    """The file is no checkpoint, or its content does not agree with its checksums."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, and dicts and lists of them) to ``path``, all or nothing."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, without running any code that it may contain.

    PyTorch writes a CRC-32 for each tensor into the file but does not compare it on reading; this does.

    Raises:
        DamagedCheckpointError: where it cannot be read or a checksum does not fit.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise DamagedCheckpointError(f"{path}: the checksum of {damaged} does not fit")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except DamagedCheckpointError:
        raise
    except Exception as error:
        raise DamagedCheckpointError(f"{path} is not a readable checkpoint: {error}") from error
    if not isinstance(state, dict):
        raise DamagedCheckpointError(f"{path} is not a checkpoint")
    return state
