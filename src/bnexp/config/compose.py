"""Turning overrides into resolved configurations, with Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnexp.config.check import Config
from bnexp.config.explain import explain
from bnexp.config.folder import config_dir


class Composed(NamedTuple):
    """A resolved configuration, and the name of the choice of each of its groups."""

    config: Config
    choices: dict[str, str]


def resolved(config: DictConfig, choices: Mapping[str, Any]) -> Composed:
    """Resolve all interpolations of a composed configuration and leave Hydra's own part out."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    plain.pop("hydra", None)
    return Composed(plain, {group: str(name) for group, name in choices.items() if "/" not in group})


@contextmanager
def composing() -> Iterator[None]:
    """Make Hydra ready to compose from bnexp's config folder."""
    with initialize_config_dir(str(config_dir()), version_base="1.3", job_name="bnexp"):
        yield


def compose_run(overrides: Sequence[str], config_name: str = "train") -> Composed:
    """Compose one run; to be called within :func:`composing`.

    Raises:
        ConfigError: one line for the override that is wrong.
    """
    try:
        config = compose(config_name, list(overrides), return_hydra_config=True)
        return resolved(config, config.hydra.runtime.choices)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, overrides) from error


def jobs_of_multirun(overrides: Sequence[str]) -> list[list[str]]:
    """List the overrides of each job of a multirun: the product of all sweeps, in the basic sweeper's order."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    batches = BasicSweeper.split_arguments(parsed, None)
    return [list(job) for batch in batches for job in batch]
