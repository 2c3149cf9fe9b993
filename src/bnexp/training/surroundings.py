"""Which of a run's surroundings can change its numbers, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SURROUNDINGS = ("bnexp", "python", "torch", "numpy", "device_name", "threads", "compile", "code")
"""Keys of a run's ``environment`` that may change its numbers without being part of its question; so may each
``code/PLUGIN``. The others (the commit, the system) are information."""


def relevant(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a run's environment may change its numbers, in a fixed order."""
    plugins = sorted(key for key in environment if key.startswith("code/"))
    return {key: environment.get(key) for key in (*SURROUNDINGS, *plugins)}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what differs in a way that may change numbers: both values, shortened to be read, by key."""
    first, second = relevant(before), relevant(now)
    keys = [*first, *(key for key in second if key not in first)]
    return {
        key: (shown(key, first.get(key)), shown(key, second.get(key)))
        for key in keys
        if first.get(key) != second.get(key)
    }


def shown(key: str, value: Any) -> str:
    """Write a value for a person: of a digest of code, the first digits."""
    return str(value)[:8] if key.partition("/")[0] == "code" and value is not None else str(value)
