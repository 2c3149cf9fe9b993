"""Find everything that is wrong with a configuration before anything is built or written."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from bnexp.config.targets import NUM_INJECTED, is_location, parameters, problems, resolve
from bnexp.data.split import split
from bnexp.errors import ConfigError, did_you_mean
from bnexp.models.finetune import finetune_
from bnexp.ranges import Location, Natural, Place, violation

Config = dict[str, Any]
"""A resolved configuration: plain dicts, lists, strings, numbers, booleans and None."""

TOP_LEVEL = {"seed": Natural, "output_dir": Place, "rerun": Annotated[bool, Location()]}
"""The keys beside the groups."""


def schema(config: Config, group: str) -> Mapping[str, inspect.Parameter]:
    """Return what a group's node may set: its target's parameters, and those that all choices of the group share."""
    target = resolve(config[group].get("_target_"), group)
    shared = {"dataset": parameters(split, 3), "model": parameters(finetune_, 1)}
    return {**parameters(target, NUM_INJECTED[group]), **shared.get(group, {})}


def check(config: Config, choices: Mapping[str, str]) -> None:
    """Compare every key and value with the signature that it goes to.

    Args:
        config: the resolved configuration.
        choices: the name of the choice of each group, for the messages.

    Raises:
        ConfigError: one line for each mistake.
    """
    lines: list[str] = []
    known = [*NUM_INJECTED, *TOP_LEVEL]
    lines += [f"{key}: there is no such key{did_you_mean(str(key), known)}" for key in config if key not in known]
    for key, annotation in TOP_LEVEL.items():
        if (rule := violation(config.get(key), annotation)) is not None:
            lines.append(f"{key}={config.get(key)} {rule}")
    for group in NUM_INJECTED:
        node = config.get(group)
        if not isinstance(node, dict):
            lines.append(f"{group}={node} must be one of the choices that `bnexp list {group}` shows")
            continue
        try:
            lines += problems(group, node, schema(config, group), f"{group}={choices.get(group, '?')}")
        except ConfigError as error:
            lines.append(str(error))
    if lines:
        raise ConfigError("\n".join(lines))


def numeric_part(config: Config) -> Config:
    """Return what can change a run's numbers: the configuration without the seed and without all locations."""
    return {
        group: {key: value for key, value in config[group].items() if not _is_location(config, group, key)}
        for group in NUM_INJECTED
    }


def _is_location(config: Config, group: str, key: str) -> bool:
    known = schema(config, group)
    return key in known and is_location(known[key])
