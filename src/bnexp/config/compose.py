"""Turning overrides into resolved configurations, with Hydra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bnexp.config.check import Config
from bnexp.config.explain import explain
from bnexp.config.folder import config_dir
from bnexp.config.home import quoted
from bnexp.config.homes import expand_hydras, expanded
from bnexp.config.hydra_words import check_hydra_node, check_hydra_words
from bnexp.config.source import ChoicesSource
from bnexp.errors import ConfigError
from bnexp.training.settings import MOST_REPLICAS

MOST_JOBS = 100_000
"""Of a multirun: each is composed and checked before the first one starts."""


class Composed(NamedTuple):
    """A resolved configuration, and the name of the choice of each of its groups."""

    config: Config
    choices: dict[str, str]


def resolved(config: DictConfig, choices: Mapping[str, Any]) -> Composed:
    """Resolve all interpolations of a composed configuration, write its paths out and leave Hydra's own part out."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    plain.pop("hydra", None)
    return Composed(expanded(plain), {group: str(name) for group, name in choices.items() if "/" not in group})


def compose_run(overrides: Sequence[str], user_dirs: Sequence[Path] = ()) -> Composed:
    """Compose one run from the user's config folders and bnexp's own, as ``bnexp train --config-dir`` does.

    Raises:
        ConfigError: one line for the override that is wrong.
    """
    with explaining(overrides, user_dirs):
        config = _loaded(overrides, user_dirs)
        return resolved(config, config.hydra.runtime.choices)


def compose_seeds(overrides: Sequence[str], seeds: Sequence[int], user_dirs: Sequence[Path] = ()) -> list[Composed]:
    """Compose a run for each seed, in a fraction of the time that composing each of them alone takes.

    Raises:
        ConfigError: one line for the override that is wrong.
    """
    with explaining(overrides, user_dirs):
        config = _loaded(overrides, user_dirs)
        return with_seeds(config, config.hydra.runtime.choices, seeds)


def compose_replicas(overrides: Sequence[str], user_dirs: Sequence[Path] = ()) -> list[Composed]:
    """Compose the run of some overrides, or the runs of ``training.replicas`` seeds, each as a run by itself.

    Raises:
        ConfigError: one line for the override that is wrong.
    """
    with explaining(overrides, user_dirs):
        config = _loaded(overrides, user_dirs)
        return resolved_replicas(config, config.hydra.runtime.choices)


def compose_arm(overrides: Sequence[str], seeds: Sequence[int], user_dirs: Sequence[Path] = ()) -> list[list[Composed]]:
    """Compose, for each seed, what :func:`compose_replicas` composes with it; as fast as :func:`compose_seeds`.

    Raises:
        ConfigError: one line for the override that is wrong.
    """
    with explaining(overrides, user_dirs):
        config = _loaded(overrides, user_dirs)
        chosen = config.hydra.runtime.choices
        config.seed = seeds[0]
        if len(resolved_replicas(config, chosen)) == 1:
            return [[run] for run in with_seeds(config, chosen, seeds)]
        found = []
        for seed in seeds:
            config.seed = seed
            found.append(resolved_replicas(config, chosen))
        return found


def resolved_replicas(config: DictConfig, choices: Mapping[str, Any]) -> list[Composed]:
    """Do for a composed configuration what :func:`compose_replicas` does for overrides."""
    first = resolved(config, choices)
    seed, training = first.config.get("seed"), first.config.get("training")
    number = training.get("replicas") if isinstance(training, dict) else None
    if type(seed) is not int or type(number) is not int or not 1 < number <= MOST_REPLICAS:
        return [first]  # a value that is none is for the check to find
    replicas = with_seeds(config, choices, range(seed, seed + number))
    for replica in replicas:
        replica.config["training"]["replicas"] = 1
    return replicas


def with_seeds(config: DictConfig, choices: Mapping[str, Any], seeds: Iterable[int]) -> list[Composed]:
    """Resolve a composed configuration for each seed.

    Two of them are resolved, which takes milliseconds each. Where they differ in nothing but the seed, no interpolation
    follows it, and the others are copies.
    """
    every = list(seeds)
    if len({*every[:2]}) < 2:
        return [_with_seed(config, choices, seed) for seed in every]
    first, second = (_with_seed(config, choices, seed) for seed in every[:2])
    if first.config | {"seed": every[1]} != second.config:
        return [first, second, *(_with_seed(config, choices, seed) for seed in every[2:])]
    copies = (Composed(deepcopy(first.config) | {"seed": seed}, dict(first.choices)) for seed in every[2:])
    return [first, second, *copies]


def _with_seed(config: DictConfig, choices: Mapping[str, Any], seed: int) -> Composed:
    config.seed = seed  # before the interpolations are filled in, so that one of ${seed} follows it
    return resolved(config, choices)


def _loaded(overrides: Sequence[str], user_dirs: Sequence[Path]) -> DictConfig:
    return config_loader(user_dirs).load_configuration("train", list(overrides), RunMode.RUN, from_shell=False)


def config_loader(user_dirs: Sequence[Path] = ()) -> Loader:
    """Return the loader of all configurations: from the user's config folders and bnexp's own, the user's first.

    Hydra's launchers and sweepers, its flags, and bnexp's own composing go through it, so that one command line means
    one thing. A user's folder gives choices of bnexp's groups and nothing else.
    """
    SourcesRegistry.instance().register(ChoicesSource)
    search_path = create_config_search_path(str(config_dir()))
    for folder in reversed(user_dirs):
        search_path.prepend("command-line", f"{ChoicesSource.scheme()}://{folder.resolve()}")
    version.setbase("1.3")
    setup_globals()  # the resolvers, such as ${now:…}
    return Loader(search_path)


class Loader(ConfigLoaderImpl):
    """Hydra's loader, in which Hydra's own part of a configuration is what the words choose and set by name."""

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a configuration.

        Raises:
            ConfigError: where a word, or a file, names code for Hydra to run.
        """
        check_hydra_words(overrides)
        try:
            words = list(map(quoted, overrides))
            config = super().load_configuration(config_name, words, run_mode, from_shell, validate_sweep_overrides)
        except RecursionError as error:
            raise ConfigError(
                "a choice takes its defaults from itself; look at the defaults of your choices"
            ) from error
        check_hydra_node(config)
        expand_hydras(config)
        return config


@contextmanager
def explaining(overrides: Sequence[str], user_dirs: Sequence[Path] = ()) -> Iterator[None]:
    """Turn Hydra's complaints about ``overrides`` into a ConfigError of one line."""
    try:
        yield
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise explain(error, overrides, user_dirs) from error  # ValueError: `norm=null`, say; TypeError: `norm=[1]`
    except Exception as error:
        # Nothing but Hydra and OmegaConf is at work here, and they stumble over words that nobody has thought of:
        # AttributeError for `hydra.sweeper.params={norm:batch}`, RecursionError for what is nested a thousand times.
        what = f"{type(error).__name__}: {' '.join(str(error).split())}".strip(": ")
        culprit = next((word for word in overrides if _passes_without(word, overrides, user_dirs)), " ".join(overrides))
        raise ConfigError(f"{culprit}: Hydra cannot take this ({what}); write it in another way") from error


def _passes_without(word: str, overrides: Sequence[str], user_dirs: Sequence[Path]) -> bool:
    """Whether Hydra takes the other words."""
    try:
        _loaded([other for other in overrides if other != word], user_dirs)
    except Exception:
        return False
    return True


def jobs_of_multirun(overrides: Sequence[str], user_dirs: Sequence[Path] = ()) -> list[list[str]]:
    """List the overrides of each job of a multirun: the product of all sweeps, in the basic sweeper's order.

    Raises:
        ConfigError: where there is none, as in ``seed=range(0)``.
    """
    parsed = OverridesParser.create(config_loader=config_loader(user_dirs)).parse_overrides(
        list(map(quoted, overrides))
    )
    sweeps = [override for override in parsed if override.is_sweep_override()]
    if interval := next((sweep for sweep in sweeps if sweep.is_interval_sweep()), None):
        raise ConfigError(
            f"{interval.input_line}: a grid needs values, and an interval lists none; write choice(…) or range(…), or "
            "take a sweeper that searches, such as hydra/sweeper=optuna"
        )
    if prod(sum(1 for _ in islice(sweep.sweep_iterator(), MOST_JOBS + 1)) for sweep in sweeps) > MOST_JOBS:
        words = " ".join(str(sweep.input_line) for sweep in sweeps)
        raise ConfigError(f"{words}: a multirun has at most {MOST_JOBS:,} runs, and this has more; use fewer values")
    batches = BasicSweeper.split_arguments(parsed, None)
    jobs = [list(job) for batch in batches for job in batch]
    if not jobs:
        raise ConfigError("the multirun is empty: a range or a glob among its words has no values")
    return jobs
