"""Whether a user's YAML files are of a size to be read: aliases make a file of a few lines as large as one likes."""

from __future__ import annotations

from pathlib import Path

import yaml

from bnexp.errors import ConfigError

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000


def check_sizes(folder: Path) -> None:
    """Look at the YAML files of a config folder and of its groups.

    Raises:
        ConfigError: where one is too large, with its aliases written out, or holds itself.
    """
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]):
        if file.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{file} has more than {MOST_BYTES:,} bytes; a choice is a few lines")
        try:
            size = _size(yaml.compose(file.read_bytes()), {})
        except RecursionError as error:
            raise ConfigError(f"{file} holds itself, or is nested without end; write its values out") from error
        except yaml.YAMLError:
            continue  # told where the file is used, if it is
        if size > MOST_VALUES:
            raise ConfigError(
                f"{file} has more than {MOST_VALUES:,} values with its aliases written out; a choice is few"
            )


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Count the values below a node; one that stands in several places is looked at once and counts in each."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        items = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_size(item, known) for item in items)
    return known[id(node)]
