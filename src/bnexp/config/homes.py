"""``~`` at the beginning of a path, wherever a user writes one: the home folder, and never a folder of that name.

The shell leaves it alone behind ``dataset.path=`` and inside quotes, and it stands in files and in the environment too.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from bnexp.config.check import TOP_LEVEL, Config, schema
from bnexp.config.home import at_home
from bnexp.config.targets import NUM_INJECTED
from bnexp.errors import ConfigError
from bnexp.ranges import OnDisk, marks

HYDRAS = ("output_dir", "hydra.run.dir", "hydra.sweep.dir")
"""Where Hydra's launchers and sweepers make folders by themselves, from the composed configuration."""


def expand_hydras(config: DictConfig) -> None:
    """Expand, in a composed configuration, the paths that Hydra itself uses.

    Raises:
        ConfigError: there is no such home folder.
    """
    for key in HYDRAS:
        try:
            place = OmegaConf.select(config, key)
        except OmegaConfBaseException:  # told where the configuration is resolved
            continue
        if isinstance(place, str) and place.startswith("~"):
            with flag_override(config, ["readonly", "struct"], False), flag_override(config.hydra, "readonly", False):
                OmegaConf.update(config, key, at_home(place, key))


def expanded(config: Config) -> Config:
    """Return a resolved configuration in which every path is written out.

    The parameters that are paths say so by their type (:class:`bnexp.ranges.OnDisk`).

    Raises:
        ConfigError: there is no such home folder.
    """
    found = {key: _at_home(config[key], key, TOP_LEVEL[key]) for key in TOP_LEVEL if key in config}
    for group in NUM_INJECTED:
        node = config.get(group)
        if isinstance(node, dict) and any(isinstance(value, str) and value.startswith("~") for value in node.values()):
            try:
                known = schema(config, group)
            except ConfigError:  # a target that may not be called: told where the configuration is checked
                continue
            types = {key: parameter.annotation for key, parameter in known.items()}
            found[group] = {key: _at_home(value, f"{group}.{key}", types.get(key)) for key, value in node.items()}
    return config | found


def _at_home(value: Any, key: str, annotation: Any) -> Any:
    is_path = isinstance(value, str) and any(isinstance(mark, OnDisk) for mark in marks(annotation))
    return at_home(value, key) if is_path else value
