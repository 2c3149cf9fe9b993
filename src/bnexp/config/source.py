"""The folder of choices that a user names, as a source of configurations for Hydra: choices of bnexp's groups, no more.

Whatever else lies there cannot be reached: no primary configuration, nothing of Hydra's own.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from bnexp.config.choice_file import read_choice
from bnexp.config.folder import config_dir


class ChoicesSource(ConfigSource):
    """Reads ``GROUP/CHOICE.yaml`` below a folder."""

    @staticmethod
    def scheme() -> str:
        """What its paths begin with."""
        return "choices"

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a choice. Whatever its file says, its values go to its group."""
        file = self._file(config_path)
        if file is None:
            raise ConfigLoadError(f"Config not found : {self.path}/{config_path}")
        content = OmegaConf.create(read_choice(file))
        return ConfigResult(provider=self.provider, path=self.full_path(), config=content, header={"package": None})

    def available(self) -> bool:
        """Whether the folder is there."""
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        """Whether the folder has a subfolder for this group of bnexp's; the folder itself counts as one."""
        if config_path == "":
            return True
        return "/" not in config_path and all(
            (place / config_path).is_dir() for place in (config_dir(), Path(self.path))
        )

    def is_config(self, config_path: str) -> bool:
        """Whether the folder has this choice."""
        return self._file(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return the names of the choices of a group, or of the groups."""
        wanted = ObjectType.CONFIG if config_path else ObjectType.GROUP
        if not self.is_group(config_path) or results_filter not in (None, wanted):
            return []
        entries = Path(self.path, config_path).iterdir()
        if config_path:
            return sorted(entry.stem for entry in entries if entry.suffix == ".yaml")
        return sorted(entry.name for entry in entries if self.is_group(entry.name))

    def _file(self, config_path: str) -> Path | None:
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        if not name or "/" in name or not self.is_group(group):
            return None
        file = Path(self.path, group, f"{name}.yaml")
        return _as_seen_from_here(file) if file.exists() else None


def _as_seen_from_here(file: Path) -> Path:
    """Return the path as a user names it, for messages."""
    with suppress(ValueError, OSError):  # it lies elsewhere, or the working folder has been removed
        return file.relative_to(Path.cwd())
    return file
