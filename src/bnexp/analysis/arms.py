"""Which runs answer the same question: arms, what tells them apart, and what they are called."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from bnexp.analysis.runs import Run
from bnexp.config.targets import NUM_INJECTED, is_numeric, parameters, show
from bnexp.errors import ConfigError, did_you_mean
from bnexp.text import printable
from bnexp.training.settings import Settings

SEED = "seed"


@dataclass(frozen=True)
class Arm:
    """Runs that are taken for repetitions of one thing: of one configuration, or of several that are pooled.

    Attributes:
        label: what it is called, in printable characters on one line.
        settings: the choices and values that tell it from the other arms.
        runs: its finished runs, in order of their seeds.
    """

    label: str
    settings: Mapping[str, Any]
    runs: tuple[Run, ...]

    @property
    def num_diverged(self) -> int:
        """How many of its runs diverged."""
        return sum(run.status == "diverged" for run in self.runs)

    def resolution(self, metric: str) -> float:
        """The smallest step in which ``metric`` can change: the largest of its runs'."""
        return max((run.resolution(metric) for run in self.runs), default=0.0)


def coarsest(arms: Iterable[Arm], metric: str) -> float:
    """Return the smallest step in which ``metric`` can change in all of these arms: the largest of theirs."""
    return max((arm.resolution(metric) for arm in arms), default=0.0)


def distinct(runs: Iterable[Run]) -> tuple[list[Run], list[str]]:
    """Leave out copies: folders of one fingerprint and seed hold the same run, which must not count twice.

    Returns:
        The runs, and a line for each copy.
    """
    first: dict[tuple[str, int], Run] = {}
    copies = []
    for run in runs:
        kept = first.setdefault((run.result["fingerprint"], run.seed), run)
        if kept is not run:
            copies.append(f"{run.path}: the same run as {kept.path}")
    return list(first.values()), copies


def by_configuration(runs: Iterable[Run]) -> list[Arm]:
    """Group runs that differ only in their seeds (same fingerprint), in the order in which they come.

    A label holds what tells the arms apart. A setting of a choice (``norm.eps``) is part of it only among the arms of
    the same choice: where the choices differ, their settings follow from them.
    """
    groups = _grouped(runs, lambda run: run.result["fingerprint"])
    loose = _launching().union(*map(_variable, groups.values()))  # a device, say: no part of the question
    values = [{key: value for key, value in common(group).items() if key not in loose} for group in groups.values()]
    keys = _telling(values)
    labels = [_label(node, telling) for node, telling in zip(values, keys, strict=True)]
    times = Counter(labels)
    return [
        Arm(
            (label if times[label] == 1 else f"{label} [{fingerprint}]".strip()) or "(all)",
            {key: node[key] for key in telling if key in node},
            tuple(sorted(group, key=lambda run: run.seed)),
        )
        for (fingerprint, group), node, telling, label in zip(groups.items(), values, keys, labels, strict=True)
    ]


def by_values(runs: Sequence[Run], keys: Sequence[str]) -> list[Arm]:
    """Group runs by the values of ``keys``, pooling over seeds and everything else.

    Raises:
        ConfigError: for a key that no run has.
    """
    known = {key for run in runs for key in run.values}
    for key in keys:
        if key not in known:
            raise ConfigError(f"{key}: the runs have no such choice or setting{did_you_mean(key, sorted(known))}")
    groups = _grouped(runs, lambda run: _label(run.values, keys))
    return [
        Arm(label, {key: group[0].values[key] for key in keys if key in group[0].values}, tuple(group))
        for label, group in groups.items()
    ]


def in_order(arms: Iterable[Arm], defaults: Mapping[str, str]) -> list[Arm]:
    """Sort arms by their settings: the choice in ``defaults`` and null first, numbers by size, text by letters."""
    found = list(arms)
    keys = list(differing(found))
    return sorted(found, key=lambda arm: [_rank(arm.settings, key, defaults) for key in keys])


def differing(arms: Iterable[Arm]) -> dict[str, list[Any]]:
    """Return what tells the arms apart: each choice and setting with its values, in the arms' order."""
    return _variety(arm.settings for arm in arms)


def incidental(arms: Iterable[Arm]) -> dict[str, list[Any]]:
    """Return the settings that differ between runs without being in a label: they come with a choice or are pooled."""
    found = list(arms)
    told = differing(found)
    variety = _variety(run.values for arm in found for run in arm.runs)
    return {key: values for key, values in variety.items() if len(values) > 1 and key not in told and key != SEED}


def pooled(arms: Iterable[Arm]) -> tuple[dict[str, list[Any]], bool]:
    """Return what telling choices and settings the arms pool over, and whether each holds the same mix of them.

    With different mixes a difference between two arms may come from what is pooled.
    """
    found = list(arms)
    configurations = by_configuration(run for arm in found for run in arm.runs)
    told = differing(found)
    over = {key: values for key, values in differing(configurations).items() if key not in told}
    mixes = [Counter(_label(run.values, list(over)) for run in arm.runs) for arm in found]
    return over, all(mix == mixes[0] for mix in mixes)


def common(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the choices and settings, without the seed, that are the same in all of ``runs``; choices come first."""
    first, *others = (run.values for run in runs)
    return {
        key: first[key]
        for key in sorted(first, key=place)
        if key != SEED and all(key in other and show(other[key]) == show(first[key]) for other in others)
    }


def find_arm(arms: Sequence[Arm], text: str) -> Arm:
    """Return the arm that ``text`` names: by its label, its number from 1 on, or words that hold for no other arm.

    Raises:
        ConfigError: where none or several are meant.
    """
    found = [arm for arm in arms if arm.label == text]
    if not found and text.isdecimal() and 1 <= int(text) <= len(arms):
        found = [arms[int(text) - 1]]
    if not found:
        words = [word.partition("=")[::2] for word in text.split()]
        found = [arm for arm in arms if _holds(words, common(arm.runs))]
    if len(found) == 1:
        return found[0]
    labels = [arm.label for arm in arms]
    if found:
        raise ConfigError(f"{text}: this fits {len(found)} arms; add what tells apart {_listed(found)}")
    hint = did_you_mean(text, labels) or f"; write one of {_listed(arms)}, or its number"
    raise ConfigError(f"{text}: there is no such arm{hint}")


def word(key: str, value: object) -> str:
    """Write a setting as on the command line, without characters that could disturb a terminal or a table."""
    return printable(f"{key}={show(value)}")


def same(one: object, other: object) -> bool:
    """Whether two values are written alike, or are the same number (``1e-5`` and ``0.00001``)."""
    first, second = show(one), show(other)
    if first == second:
        return True
    try:
        return math.isclose(float(first), float(second), rel_tol=1e-12)
    except ValueError:
        return False


def place(key: str) -> tuple[int, bool, str]:
    """Return the sort key that puts choices in the order of a configuration, each before its settings."""
    group, dot, name = key.partition(".")
    order = list(NUM_INJECTED)
    return order.index(group) if group in order else len(order), bool(dot), name or group


def _grouped(runs: Iterable[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _variable(runs: Sequence[Run]) -> set[str]:
    return {key for run in runs for key in run.values} - common(runs).keys()


@cache
def _launching() -> frozenset[str]:
    """The keys that say where and how a run is trained, and cannot change its numbers."""
    known = parameters(Settings, 0)
    return frozenset(f"training.{key}" for key, parameter in known.items() if not is_numeric(parameter, {}))


def _telling(values: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return for each arm the keys that tell it from others: of a choice's settings, from those of the same choice."""
    variants: dict[tuple[str, str], set[str]] = {}
    keys = sorted({key for node in values for key in node}, key=place)
    for node in values:
        for key in keys:
            variants.setdefault((key, _choice(node, key)), set()).add(_word_or_lack(node, key))
    return [[key for key in keys if len(variants[key, _choice(node, key)]) > 1] for node in values]


def _choice(node: Mapping[str, Any], key: str) -> str:
    """Return the choice that ``key`` is a setting of; the same for all arms if it is itself one."""
    group, dot, _ = key.partition(".")
    return show(node.get(group)) if dot else ""


def _label(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    return " ".join(_word_or_lack(values, key) for key in keys)


def _word_or_lack(values: Mapping[str, Any], key: str) -> str:
    return word(key, values[key]) if key in values else f"no {key}"


def _variety(nodes: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, dict[str, Any]] = {}
    for node in nodes:
        for key, value in node.items():
            found.setdefault(key, {}).setdefault(show(value), value)
    return {key: list(values.values()) for key, values in sorted(found.items(), key=lambda item: place(item[0]))}


def _rank(settings: Mapping[str, Any], key: str, defaults: Mapping[str, str]) -> tuple[int, float, str]:
    if key not in settings:
        return 3, 0, ""
    value = settings[key]
    if value is None or value == defaults.get(key):
        return 0, 0, ""
    return (1, value, "") if isinstance(value, int | float) else (2, 0, show(value))


def _holds(words: Iterable[tuple[str, str]], values: Mapping[str, Any]) -> bool:
    return all(key in values and same(values[key], value) for key, value in words)


def _listed(arms: Sequence[Arm], most: int = 6) -> str:
    shown = ", ".join(f"'{arm.label}'" for arm in arms[:most])
    return shown + (f" and {len(arms) - most} more" if len(arms) > most else "")
