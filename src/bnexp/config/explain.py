"""Hydra's complaints in bnexp's words: one line with the value, the rule and the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from bnexp.config.choice_file import read_choice
from bnexp.config.folder import choices, config_dir, groups
from bnexp.config.targets import show
from bnexp.config.yaml_file import read_mapping
from bnexp.errors import ConfigError, did_you_mean


def explain(error: Exception, overrides: Sequence[str], user_dirs: Sequence[Path] = ()) -> ConfigError:
    """Return a :class:`ConfigError` that says which of the ``overrides`` Hydra or OmegaConf could not take, and why."""
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if sweep := re.match("(?:Ambiguous value for argument|Sweep parameters) '(.+?)'", first_line):
        several = "names several values, and one run takes one; bnexp train -m trains them all; [a,b] is a list"
        return ConfigError(f"{sweep[1]}: {several}")
    culprit = _interpolation(getattr(error, "full_key", None), overrides)
    return ConfigError(mistake(overrides, user_dirs) or (f"{culprit}: {first_line}" if culprit else first_line))


def _interpolation(key: str | None, overrides: Sequence[str]) -> str | None:
    """Return the word that sets ``key`` to an interpolation, the first such word, or the key itself."""
    words = [word for word in overrides if "${" in word]
    return next((word for word in words if word.lstrip("+").startswith(f"{key}=")), words[0] if words else key)


def mistake(overrides: Sequence[str], user_dirs: Sequence[Path] = ()) -> str | None:
    """Return a line about the first override that cannot be right, or None where all of them may be."""
    folders = [*user_dirs, config_dir()]
    parsed: list[Override] = []
    for text in overrides:
        try:
            parsed.append(OverridesParser.create().parse_override(text))
        except HydraException:
            return f"{text}: must have the form key=value; other than plain letters and digits, write key='\"value\"'"
    known_keys = keys_by_choice(folders)
    chosen = _chosen(parsed)
    for override in parsed:
        key = override.key_or_group
        if key == "study":
            return f"{override.input_line}: a study is run by itself; write bnexp study {show(override.value())}"
        if key.startswith("hydra") or override.is_add() or override.is_delete():
            continue
        line = _choice_mistake(override, folders) if key in groups(folders) else _key_mistake(key, known_keys, chosen)
        if line:
            return line
    return None


def _choice_mistake(override: Override, folders: Sequence[Path]) -> str | None:
    group = override.key_or_group
    known = choices(folders, group)
    wanted = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    if any(isinstance(name, list | dict) for name in wanted):
        return f"{override.input_line}: {group} takes one choice; bnexp train -m {group}=a,b trains both"
    wrong = next((show(name) for name in wanted if show(name) not in known), None)
    if wrong is None:
        return None
    return f"{group}={wrong}: {group} has no such choice{did_you_mean(wrong, known)} (it has: {', '.join(known)})"


def _key_mistake(key: str, known: Mapping[str, set[str]], chosen: Mapping[str, str]) -> str | None:
    group, *rest = key.split(".")
    owners = known.get(key, set())
    if not rest:
        return None if owners else f"{key}: there is no such key or group{did_you_mean(key, [*known, *chosen])}"
    if group not in chosen:
        return f"{key}: there is no such group{did_you_mean(group, chosen)}"
    if not owners:
        return f"{key}: there is no such key{did_you_mean(key, known)}"
    if chosen[group] in owners:
        return None
    others = ", ".join(f"{group}={name}" for name in sorted(owners))
    return f"{key}: {group}={chosen[group]} has no such key; these have: {others}"


def _chosen(overrides: Sequence[Override]) -> dict[str, str]:
    """The choice of each group: the default, or the one among the overrides (the first of a sweep)."""
    defaults = read_mapping(config_dir() / "train.yaml")["defaults"]
    chosen = {group: name for entry in defaults if isinstance(entry, dict) for group, name in entry.items()}
    for override in overrides:
        if override.key_or_group in chosen:
            value = next(iter(override.sweep_iterator())) if override.is_sweep_override() else override.value()
            chosen[override.key_or_group] = str(value)
    return {group: name for group, name in chosen.items() if not group.startswith("override ")}


def keys_by_choice(folders: Sequence[Path]) -> dict[str, set[str]]:
    """All dotted keys that a run's configuration can have, each with the choices of its group that have it."""
    found: dict[str, set[str]] = {key: {"train"} for key in _flat(read_mapping(config_dir() / "train.yaml"), "")}
    for group in groups(folders):
        for name, file in choices(folders, group).items():
            node = _said(file)
            parts = [file.parent / f"{part}.yaml" for part in node.get("defaults", []) if str(part).startswith("_")]
            for source in [file, *(part for part in parts if part.exists())]:
                for key in _flat(_said(source), f"{group}."):
                    found.setdefault(key, set()).add(name)
    return found


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
