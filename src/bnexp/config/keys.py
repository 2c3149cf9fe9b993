"""Which dotted keys a run's configuration can have, read from the files of the choices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnexp.config.choice_file import read_choice
from bnexp.config.folder import choices, groups
from bnexp.config.yaml_file import read_mapping
from bnexp.errors import ConfigError

PRIMARY = "train.yaml"
"""The file that a run's configuration starts from."""

STUDY = "study"
"""The group that is no part of a run."""


def keys_by_choice(folders: Sequence[Path]) -> dict[str, set[str]]:
    """All dotted keys that a run's configuration can have, each with the choices of its group that have it.

    The last of ``folders`` is bnexp's own.
    """
    found: dict[str, set[str]] = {key: {"train"} for key in _flat(read_mapping(folders[-1] / PRIMARY), "")}
    for group in groups(folders):
        for name, file in choices(folders, group).items() if group != STUDY else ():
            node = _said(file)
            parts = [file.parent / f"{part}.yaml" for part in node.get("defaults", []) if str(part).startswith("_")]
            for source in [file, *(part for part in parts if part.exists())]:
                for key in _flat(_said(source), f"{group}."):
                    found.setdefault(key, set()).add(name)
    return found


def default_choices(own: Path) -> dict[str, str]:
    """Return the groups of a run and the choice of each that is taken if none is named; ``own`` is bnexp's folder."""
    entries = [entry for entry in read_mapping(own / PRIMARY).get("defaults", []) if isinstance(entry, dict)]
    pairs = [(str(key), str(choice)) for entry in entries for key, choice in entry.items()]
    return {key: choice for key, choice in pairs if not key.startswith("override ")}


def _said(file: Path) -> dict[str, Any]:
    """What a choice's file says; nothing where it cannot be read, which is told to those who choose it."""
    try:
        return read_choice(file)
    except ConfigError:
        return {}


def _flat(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in node.items():
        if key not in ("defaults", "hydra", "_target_", "_partial_"):
            yield f"{prefix}{key}"
            if isinstance(value, dict):
                yield from _flat(value, f"{prefix}{key}.")
