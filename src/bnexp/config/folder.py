"""Where the config files lie, and which groups and choices their folders hold. The folder listing is the registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def config_dir() -> Path:
    """Return the folder of bnexp's own configs: the one inside the wheel or, in a checkout, the repository's."""
    here = Path(__file__).resolve()
    packaged = here.parents[1] / "configs"
    return packaged if packaged.is_dir() else here.parents[3] / "configs"


def groups(folders: Sequence[Path]) -> list[str]:
    """Return the names of the config groups, sorted: the subfolders of the last of ``folders`` that hold a choice.

    That is bnexp's own; the others, a user's, may have choices for its groups and whatever else they like.
    """
    names = {entry.name for entry in folders[-1].iterdir() if entry.is_dir()}
    return sorted(name for name in names if choices(folders, name))


def choices(folders: Sequence[Path], group: str) -> dict[str, Path]:
    """Return the choices of ``group`` with their files, sorted by name.

    Where two folders have the same choice, the earlier folder wins, as in Hydra's search path.
    A file whose name starts with an underscore is a part of other choices, not one itself.
    """
    by_name = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("[!_]*.yaml")}
    return dict(sorted(by_name.items()))
