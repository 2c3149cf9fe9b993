"""What words may say to Hydra itself: they choose its parts by name and set their values, and name no code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import Container, DictConfig, ListConfig, Node

from bnexp.config.choice_file import check_interpolations
from bnexp.config.home import quoted
from bnexp.errors import ConfigError

CODE = ("callbacks", "job_logging", "hydra_logging", "launcher", "sweeper")
"""The parts of Hydra's node that it makes objects from."""

NAMED = ("callbacks", "job_logging", "hydra_logging")
"""Those of them that are chosen by name alone: any of their values may be code."""


def check_hydra_words(words: Sequence[str]) -> None:
    """Look at each word that reaches Hydra's own part of the configuration.

    Raises:
        ConfigError: where one names code for Hydra to run, or a place to put a choice or to look for choices.
    """
    for word in words:
        key = word.partition("=")[0]
        if "hydra" in key or "@" in key or ":" in key:
            for override in _parsed(word):
                _check(word, override)


def beyond_a_run(word: str) -> str | None:
    """Return what a word of a study's file says that is not about its runs, or None."""
    key = word.partition("=")[0].lstrip("+~")
    if key.startswith("hydra") or "@" in key or ":" in key:
        return "speaks of the runs alone; what is for Hydra stands on the command line"
    values = [override.value() for override in _parsed(word) if not override.is_delete()]
    try:
        check_interpolations("", [word, *values])
    except ConfigError:
        return "may name another value, as in ${optimizer.lr}, and do nothing else; write the value itself"
    return None


def check_hydra_node(config: DictConfig) -> None:
    """Look at what was composed.

    Raises:
        ConfigError: where a part that Hydra makes objects from takes a whole node from somewhere else.
    """
    for name in CODE:
        part = config.hydra._get_node(name)
        for key, node in _nodes(part, f"hydra.{name}"):
            if not node._is_interpolation():
                continue
            found = node._maybe_dereference_node(throw_on_resolution_failure=False)
            if isinstance(found, Container) and not found._is_none():
                raise ConfigError(
                    f"{key}={node._value()}: a part of Hydra's own takes single values from elsewhere only"
                )


def _parsed(word: str) -> list[Override]:
    try:
        return [OverridesParser.create().parse_override(quoted(word))]
    except HydraException:
        return []  # told where the configuration is composed


def _check(word: str, override: Override) -> None:
    group, package = override.key_or_group, override.package
    if package is not None:
        raise ConfigError(f"{word}: a choice goes to its own group and nowhere else; write {group}=…")
    head, dot, below = group.partition(".")
    if head != "hydra":
        return
    part = below.partition(".")[0]
    if not dot:
        raise ConfigError(f"{word}: Hydra's values are set one by one, as in hydra.verbose=true")
    if part == "searchpath":
        raise ConfigError(f"{word}: write --config-dir DIR, which takes choices from a folder of yours")
    if part in NAMED:
        raise ConfigError(f"{word}: it is chosen by name alone, as in hydra/{part}=default")
    keys = [*group.split("."), *_keys(None if override.is_delete() else override.value())]
    if any(key.startswith("_") for key in keys):
        raise ConfigError(f"{word}: Hydra's own parts are chosen by name, such as hydra/launcher=joblib")


def _keys(value: Any) -> Iterator[str]:
    """Yield the keys of the dicts in a word's value."""
    for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        yield from _keys(item)
    if isinstance(value, dict):
        yield from map(str, value)


def _nodes(node: Node | None, key: str) -> Iterator[tuple[str, Node]]:
    """Yield a node and those below it with their keys, as they stand there."""
    if node is None:
        return
    yield key, node
    if not isinstance(node, DictConfig | ListConfig):
        return
    if not (node._is_interpolation() or node._is_none() or node._is_missing()):
        names: Iterable[Any] = node.keys() if isinstance(node, DictConfig) else range(len(node))
        for name in names:
            found: Any = node._get_node(name)
            yield from _nodes(found, f"{key}.{name}")
