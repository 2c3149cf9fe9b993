"""Hydra's complaints in bnexp's words: one line with the value, the rule and the nearest valid name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from bnexp.config.folder import config_dir, groups
from bnexp.config.home import quoted
from bnexp.config.meaning import Vocabulary, default_choices, nearest_key, vocabulary_of
from bnexp.config.targets import show
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
    parsed: list[Override] = []
    for text in overrides:
        try:
            parsed.append(OverridesParser.create().parse_override(quoted(text)))
        except HydraException:
            return f"{text}: {_form(text, vocabulary_of(overrides, user_dirs))}"
    vocabulary = Vocabulary([*user_dirs, config_dir()], _chosen(parsed))
    for override in parsed:
        key = override.key_or_group
        if not key:
            return f"{override.input_line}: must have the form key=value"
        if key == "study":
            return f"{override.input_line}: a study is run by itself; write bnexp study {show(override.value())}"
        if key.startswith("hydra") or override.is_add() or override.is_delete():
            continue
        is_group = key in groups(vocabulary.folders)
        line = _choice_mistake(override, vocabulary) if is_group else _key_mistake(override, vocabulary)
        if line:
            return line
    return None


def _form(text: str, vocabulary: Vocabulary) -> str:
    """Say what form a word must have, or which word was meant: ``batchnorm``, ``lr`` without a value."""
    key, equals, value = text.partition("=")
    is_right = key in vocabulary.keys or (equals and key in vocabulary.groups)
    if not is_right and re.fullmatch(r"[\w.-]+", key) and (meant := vocabulary.meant(key, value if equals else None)):
        return f"must have the form key=value; write {' or '.join(meant)}"
    return "must have the form key=value; other than plain letters and digits, write key='\"value\"'"


def _choice_mistake(override: Override, vocabulary: Vocabulary) -> str | None:
    group = override.key_or_group
    known = vocabulary.choices(group)
    wanted = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    if any(isinstance(name, list | dict) for name in wanted):
        return f"{override.input_line}: {group} takes one choice; bnexp train -m {group}=a,b trains both"
    wrong = next((show(name) for name in wanted if show(name) not in known), None)
    if wrong is None:
        return None
    return f"{group}={wrong}: {group} has no such choice{vocabulary.instead_of_choice(group, wrong)}"


def _key_mistake(override: Override, vocabulary: Vocabulary) -> str | None:
    key = override.key_or_group
    group, *rest = key.split(".")
    owners, chosen = vocabulary.keys.get(key, set()), vocabulary.chosen
    if owners and (not rest or chosen[group] in owners):
        return None
    if owners:
        others = ", ".join(f"{group}={name}" for name in sorted(owners))
        return f"{key}: {group}={chosen[group]} has no such key; these have: {others}"
    _, equals, value = str(override.input_line).partition("=")
    if meant := vocabulary.instead_of_word(key, value if equals else None):
        return f"{override.input_line}: there is no such key{meant}"
    if not rest:
        hint = did_you_mean(key, [*vocabulary.keys, *chosen]) or nearest_key(key, vocabulary)
        return f"{key}: there is no such key or group{hint}"
    if group not in chosen:
        return f"{key}: there is no such group{did_you_mean(group, chosen)}"
    return f"{key}: there is no such key{nearest_key(key, vocabulary)}"


def _chosen(overrides: Sequence[Override]) -> dict[str, str]:
    """The choice of each group: the default, or the one among the overrides (the first of a sweep)."""
    chosen = default_choices()
    for override in overrides:
        if override.key_or_group in chosen:
            value = next(iter(override.sweep_iterator())) if override.is_sweep_override() else override.value()
            chosen[override.key_or_group] = str(value)
    return chosen
