"""Whether runs that are put side by side were trained in the same surroundings: versions, device, threads, code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bnexp.training.surroundings import relevant, shown


def differences(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what the runs of these results differ in, as one line, or none where they differ in nothing.

    A run that was resumed in other surroundings counts with each of its parts.
    """
    values: dict[str, Counter[str]] = {}
    for environments in map(_environments, results):
        keys = {key: None for environment in environments for key in relevant(environment)}
        for key in keys:
            own = {shown(key, environment.get(key)) for environment in environments}
            values.setdefault(key, Counter()).update([" then ".join(sorted(own))])
    differing = {key: counts for key, counts in values.items() if len(counts) > 1 or " then " in next(iter(counts))}
    if not differing:
        return []
    listed = "; ".join(f"{key}: {_counted(counts)}" for key, counts in differing.items())
    return [f"The runs were trained in different surroundings, which can change their numbers ({listed})."]


def _environments(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parts = [part["environment"] for part in result.get("parts", [])]
    return parts or [result.get("environment", {})]


def _counted(counts: Counter[str]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{value} in {count} of {total}" for value, count in sorted(counts.items()))
