"""Hydra's complaints in bnexp's words: one line with the value, the rule and the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from bnexp.config.folder import choices, config_dir, groups
from bnexp.config.keys import default_choices
from bnexp.config.meaning import Vocabulary, instead_of_choice, instead_of_key, vocabulary, words_meant
from bnexp.config.targets import show
from bnexp.errors import ConfigError


def explain(error: Exception, overrides: Sequence[str], user_dirs: Sequence[Path] = ()) -> ConfigError:
    """Return a :class:`ConfigError` that says which of the ``overrides`` Hydra or OmegaConf could not take, and why."""
    first_line = str(error).strip().splitlines()[0]
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
            return _unreadable(text, user_dirs)
    known = vocabulary(folders, _chosen(parsed))
    for override in parsed:
        key = override.key_or_group
        if key == "study":
            return f"{override.input_line}: a study is run by itself; write bnexp study {show(override.value())}"
        if key.startswith("hydra") or override.is_add() or override.is_delete():
            continue
        line = _choice_mistake(override, folders) if key in groups(folders) else _key_mistake(override, known)
        if line:
            return line
    return None


def _unreadable(text: str, user_dirs: Sequence[Path]) -> str:
    """Return a line about a word that has not the form of an override; it may be a choice or a key by itself."""
    if "=" not in text and (meant := words_meant(text, None, vocabulary([*user_dirs, config_dir()], {}))):
        return f"{text}: must have the form key=value; write {', or '.join(meant[:3])}"
    return f"{text}: must have the form key=value; other than plain letters and digits, write key='\"value\"'"


def _choice_mistake(override: Override, folders: Sequence[Path]) -> str | None:
    group = override.key_or_group
    known = choices(folders, group)
    wanted = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    if any(isinstance(name, list | dict) for name in wanted):
        return f"{override.input_line}: {group} takes one choice; bnexp train -m {group}=a,b trains both"
    wrong = next((show(name) for name in wanted if show(name) not in known), None)
    if wrong is None:
        return None
    hint = instead_of_choice(group, wrong, known)
    listed = "" if hint.startswith("; write") else f" (it has: {', '.join(known)})"
    return f"{group}={wrong}: {group} has no such choice{hint}{listed}"


def _key_mistake(override: Override, known: Vocabulary) -> str | None:
    key = override.key_or_group
    group, dot, _ = key.partition(".")
    if known.has(key):
        return None
    if key in known.keys and dot:
        others = ", ".join(f"{group}={name}" for name in sorted(known.keys[key]))
        return f"{key}: {group}={known.chosen[group]} has no such key; these have: {others}"
    value = str(override.input_line).partition("=")[2]
    hint = instead_of_key(key, value, known)
    if hint.startswith("; write"):
        return f"{override.input_line}: there is no such key{hint}"
    hint = hint or "; bnexp list shows what there is"
    what = "key" if dot and group in known.chosen else "group" if dot else "key or group"
    return f"{key}: there is no such {what}{hint}"


def _chosen(overrides: Sequence[Override]) -> dict[str, str]:
    """The choice of each group that the overrides name (the first of a sweep)."""
    groups, chosen = default_choices(config_dir()), {}
    for override in overrides:
        if override.key_or_group in groups:
            value = next(iter(override.sweep_iterator())) if override.is_sweep_override() else override.value()
            chosen[override.key_or_group] = str(value)
    return chosen
