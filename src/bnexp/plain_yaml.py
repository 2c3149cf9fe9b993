"""YAML from anywhere, which takes no more than its length lets one expect.

libyaml's loader calls itself for each level, and a file of 30 kB that is nothing but brackets ends the process. A file
of a few lines whose aliases repeat each other holds more values than any memory.
"""

from __future__ import annotations

from typing import Any

import yaml

MOST_VALUES = 2_000_000
MOST_LEVELS = 100
TINY = 10_000
"""Bytes: a file of so few, and without aliases, cannot do either."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnboundedError(yaml.YAMLError):
    """The content is nested without end, or is too large with its aliases written out."""


def load(content: bytes) -> Any:
    """Return what YAML of plain values says.

    Raises:
        yaml.YAMLError: where it is not valid, or :class:`UnboundedError`.
        ValueError: where a number or a day is none.
    """
    if len(content) > TINY or b"*" in content:
        check_bounds(content)
    try:
        return yaml.load(content, Loader=_Loader)
    except RecursionError as error:  # of the loader that is written in Python
        raise UnboundedError("is nested without end; write its values out") from error


def check_bounds(content: bytes | str, most: int = MOST_VALUES) -> None:
    """Count the values, those behind an alias each time, and the levels, without building anything.

    Raises:
        yaml.YAMLError: where the content is not valid, or :class:`UnboundedError`.
    """
    sizes: dict[str, int] = {}  # of what has an anchor
    open_anchors: list[str | None] = []
    counts = [0]
    for event in yaml.parse(content, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_anchors.append(event.anchor)
            counts.append(1)
            if len(counts) > MOST_LEVELS:
                raise UnboundedError(f"is nested more than {MOST_LEVELS} levels deep; write its values out")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_anchors.pop(), counts.pop()
            counts[-1] += size
            sizes |= {} if anchor is None else {anchor: size}
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in open_anchors:
                raise UnboundedError("holds itself; write its values out")
            counts[-1] += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            counts[-1] += 1
            sizes |= {} if event.anchor is None else {event.anchor: 1}
        if counts[-1] > most:
            raise UnboundedError(f"has more than {most:,} values with its aliases written out; write fewer")
