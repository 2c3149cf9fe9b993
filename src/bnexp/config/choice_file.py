"""Reading the file of a choice, and what a file that is not bnexp's own may say.

It sets the values of its own group and nothing else: not the environment, not another group, not Hydra's own part of a
configuration, which names code that Hydra runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bnexp.config.folder import config_dir
from bnexp.config.yaml_file import read_mapping, read_text
from bnexp.errors import ConfigError

_PLAIN = re.compile(r"\$\{[\w.]+\}")
"""An interpolation that names another value: ``${optimizer.lr}``."""

_NEIGHBOUR = re.compile(r"[\w-][\w.-]*")
"""The name of a choice of the same group."""


def read_choice(file: Path) -> dict[str, Any]:
    """Return what a choice's file says, as it stands there.

    Raises:
        ConfigError: where it is no valid YAML of keys and values, or, being a stranger's, reaches beyond its group.
    """
    content = read_mapping(file)
    if not is_own(file):
        if (package := _package(read_text(file))) not in ("", "_group_", file.parent.name):
            _refuse(file, f"# @package {package}", f"a choice sets the values of its own group, {file.parent.name}")
        _check_defaults(file, content.get("defaults", []))
        check_interpolations(f"{file}:", content)
    return content


def is_own(file: Path) -> bool:
    """Whether a file is one of bnexp's own."""
    return file.resolve().is_relative_to(config_dir())


def check_interpolations(where: str, value: Any) -> None:
    """Look at all keys and texts of a value that a stranger wrote.

    Raises:
        ConfigError: where one has an interpolation that does more than to name another value: that reads the
            environment or calls any other of Hydra's resolvers.
    """
    for text in _texts(value, set()):
        if "${" in _PLAIN.sub("", text):
            raise ConfigError(
                f"{where} {text}: may name another value, as in ${{optimizer.lr}}, and do nothing else; "
                "write the value itself, or give it on the command line"
            )


def _texts(value: Any, seen: set[int]) -> Iterator[str]:
    """Yield each text in a value; what stands in several places, by aliases, once."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and id(value) not in seen:
        seen.add(id(value))
        for item in value.items() if isinstance(value, dict) else value:
            for part in item if isinstance(item, tuple) else (item,):
                yield from _texts(part, seen)


def _package(text: str) -> str:
    """Return the package that the head of a file names, or an empty string."""
    found = re.search(r"^\s*#\s*@\s*package\s+(.*\S)", text, re.MULTILINE)
    return found[1] if found else ""


def _check_defaults(file: Path, defaults: Any) -> None:
    rule = f"a choice takes its defaults from other choices of its own group, {file.parent.name}: [_self_, base]"
    if not isinstance(defaults, list):
        _refuse(file, f"defaults: {defaults}", rule)
    for entry in defaults:
        if not isinstance(entry, str) or not _NEIGHBOUR.fullmatch(entry):
            _refuse(file, f"defaults: {entry}", rule)


def _refuse(file: Path, what: str, rule: str) -> None:
    raise ConfigError(f"{file}: {what}: {rule}")
