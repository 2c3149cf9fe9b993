"""The one reader of YAML files that a user or a stranger wrote: choices and studies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from bnexp.errors import ConfigError
from bnexp.files import read_bytes
from bnexp.plain_yaml import UnboundedError, check_bounds

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000


def read_text(file: Path) -> str:
    """Return the text of a file.

    Raises:
        ConfigError: where it cannot be read, is not UTF-8, or has more than a million bytes.
    """
    try:
        content = read_bytes(file, follow=True)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{file} has more than {MOST_BYTES:,} bytes; a choice is a few lines")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        rule = f"not UTF-8: the byte {content[error.start]:#x} in line {line}"
        raise ConfigError(f"{file}: {rule}; save the file as UTF-8") from error


def read_mapping(file: Path, *, hydras_numbers: bool = True) -> dict[str, Any]:
    """Return what a YAML file says, which has to be keys and values; an empty file says nothing.

    Args:
        file: the file.
        hydras_numbers: whether ``1e-3`` is a number, as Hydra reads it, or a word, as YAML does.

    Raises:
        ConfigError: one line, where the file cannot be read, is not valid, has a key twice, is as large as no such file
            need be (with its aliases written out), or holds anything but keys and values.
    """
    text = read_text(file)
    try:
        check_bounds(text, MOST_VALUES)
        content = yaml.load(text, Loader=_LikeHydra if hydras_numbers else _NoTwins)
    except UnboundedError as error:
        raise ConfigError(f"{file} {error}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number of 5,000 digits, a day that is none
        raise ConfigError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: must hold keys and values, such as eps: 1e-5")
    for key in content:
        if not isinstance(key, str):
            raise ConfigError(f"{file}: the key {key} must be a word; write it in quotes")
    return content


class _NoTwins(yaml.SafeLoader):
    """YAML in which a key cannot stand twice: of two arms with one label, one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]  # before what it merges joins it
        keys = [self.construct_object(key, deep=True) for key in own]
        mapping = super().construct_mapping(node, deep)
        twins = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twins:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twins[0]} stands twice", node.start_mark)
        return mapping


class _LikeHydra(_NoTwins):
    """YAML as Hydra's configuration files are read: ``1e-3`` is a number, and no text is a date."""


_LikeHydra.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_LikeHydra.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*[eE][-+]?[0-9]+$"), list("-+0123456789")
)
_LikeHydra.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)
