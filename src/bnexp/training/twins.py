"""Unfinished runs of one configuration under other code or data: they are not resumed, and that is said."""

from __future__ import annotations

from typing import Any

import yaml

from bnexp import plain_yaml
from bnexp.files import read_bytes
from bnexp.training.record import RunFolder

NOT_COMPARED = ("fingerprint", "output_dir", "rerun")


def unfinished_twins(folder: RunFolder, content: bytes) -> list[str]:
    """Return a line for each unfinished run beside ``folder`` whose configuration is the same.

    It has another fingerprint, so that something else differs: the code, or the files that it reads.

    Args:
        folder: where a run is about to begin.
        content: that run's ``config.yaml``.
    """
    own = _compared(content)
    seed = folder.path.name.rpartition("-")[2]
    others = [RunFolder(path) for path in sorted(folder.path.parent.glob(f"*-{seed}")) if path != folder.path]
    stopped = [other for other in others if other.checkpoint.exists() and not other.seal.exists()]
    return [
        f"{other.path}: an unfinished run of this configuration, begun with other code or data; it is not resumed"
        for other in stopped
        if _read(other) == own
    ]


def _read(folder: RunFolder) -> dict[str, Any] | None:
    try:
        return _compared(read_bytes(folder.config))
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError):
        return None


def _compared(content: bytes) -> dict[str, Any]:
    return {key: value for key, value in plain_yaml.load(content).items() if key not in NOT_COMPARED}
