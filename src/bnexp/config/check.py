"""Find everything that is wrong with a configuration before anything is built or written."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from bnexp.config.targets import NUM_INJECTED, is_numeric, parameters, problems, resolve, show
from bnexp.data.split import split
from bnexp.errors import ConfigError, did_you_mean
from bnexp.models.finetune import finetune_
from bnexp.ranges import Location, Natural, Place, canonical, violation

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
    lines += [f"{key}: a run cannot do without it; take the word ~{key} out" for key in known if key not in config]
    several = [group for group in NUM_INJECTED if group in config and group not in choices]  # Hydra merges norm=[a,b]
    lines += [f"{group}: a run takes one choice of it; bnexp train -m {group}=a,b trains both" for group in several]
    for key, annotation in TOP_LEVEL.items():
        if key in config and (rule := violation(config[key], annotation)) is not None:
            lines.append(f"{key}={show(config[key])} {rule}")
    for group in (group for group in NUM_INJECTED if group in config):
        node = config[group]
        if not isinstance(node, dict):
            lines.append(f"{group}={show(node)} must be one of the choices that `bnexp list {group}` shows")
            continue
        try:
            lines += problems(group, node, schema(config, group), f"{group}={choices.get(group, '?')}")
        except ConfigError as error:
            lines += error.lines
    if lines:
        raise ConfigError(*lines)


def numeric_part(config: Config) -> Config:
    """Return what can change a run's numbers: the configuration without the seed, locations and what is overruled.

    One value has one spelling: ``optimizer.lr=1`` and ``optimizer.lr=1.0`` are the same question.
    """
    return {group: _numeric_values(config[group], schema(config, group)) for group in NUM_INJECTED}


def _numeric_values(node: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> Config:
    numeric = {key: parameter for key, parameter in known.items() if key in node and is_numeric(parameter, node)}
    special = {key: node[key] for key in node if key not in known}
    return special | {key: canonical(node[key], parameter.annotation) for key, parameter in numeric.items()}
