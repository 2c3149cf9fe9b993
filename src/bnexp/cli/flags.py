"""The flags of a command line: which there are, and which take a value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bnexp.config.folder import config_dir, groups
from bnexp.errors import ConfigError, did_you_mean


class Flag(NamedTuple):
    """One flag.

    Attributes:
        names: its spellings, the full one first.
        value: what its value is called in a message, or None for a flag without one.
        choices: the values that it takes; empty for any.
        alone: the value that the flag stands for where none follows it, or None where one must.
    """

    names: tuple[str, ...]
    value: str | None = None
    choices: tuple[str, ...] = ()
    alone: str | None = None


NOT_CHOICES = ("train.yaml", "hydra")
"""What Hydra would take from a config folder, and may be no stranger's: the primary configuration, and Hydra's own."""

CONFIG_DIR = Flag(("--config-dir", "-cd"), "DIR")

HYDRA = (
    Flag(("--multirun", "-m")),
    Flag(("--run", "-r")),
    Flag(("--cfg", "-c"), "PART", ("job", "hydra", "all")),
    Flag(("--resolve",)),
    Flag(("--package", "-p"), "PACKAGE"),
    CONFIG_DIR,
    Flag(("--info", "-i"), "PART", ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"), "all"),
    Flag(("--hydra-help",)),
    Flag(("--help", "-h")),
    Flag(("--version",)),
)

SUMMARY = (Flag(("--json",)), CONFIG_DIR, Flag(("--help", "-h")))

TRAIN_HELP = """\
usage: bnexp train [GROUP=CHOICE ...] [KEY=VALUE ...] [FLAGS]

Train one network and record it in a run folder below outputs/; with -m, train every combination of the values.
A configuration always goes to the same folder: a finished run is shown and not repeated, an interrupted one goes on.

examples:
  bnexp train                                         the defaults, on the bundled digits
  bnexp train model=convnet init=he norm=batch        choose from groups
  bnexp train norm=batch optimizer.lr=0.05 seed=3     change values
  bnexp train norm=batch training.replicas=5          five seeds in lockstep in one process, for a GPU
  bnexp train norm=batch --cfg job                    show the configuration and train nothing
  bnexp train -m init=default,he norm=none,batch 'seed=range(3)'     12 runs, then a table of the four arms

groups (bnexp list GROUP names the choices of one):
  {groups}

flags (anywhere among the words):
  -m, --multirun          train every combination of comma-separated values
  -c, --cfg job           show the configuration and train nothing; with --resolve, interpolations filled in
  -cd, --config-dir DIR   take choices from DIR too, DIR/norm/mine.yaml for instance
  --hydra-help            the other flags: all of Hydra's work
"""


def help_text() -> str:
    """Return what ``bnexp train --help`` prints."""
    return TRAIN_HELP.format(groups=" ".join(group for group in groups([config_dir()]) if group != "study"))


def parse(arguments: Sequence[str], flags: Sequence[Flag], command: str) -> tuple[dict[str, str], list[str]]:
    """Return the flags among ``arguments``, by their full names with their values, and the other words.

    A flag without a value has the value ``""``; of a flag that is given twice, the last value counts.

    Raises:
        ConfigError: a flag is unknown, lacks its value, or has one that it does not take.
    """
    by_name = {name: flag for flag in flags for name in flag.names}
    found: dict[str, str] = {}
    words: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            words.append(_with_quoted_homes(word))
            continue
        name, equals, value = word.partition("=")
        if name not in by_name:
            hint = did_you_mean(name, by_name) or f"; bnexp {command} --help shows the flags"
            raise ConfigError(f"{name}: bnexp {command} has no such flag{hint}")
        flag = by_name[name]
        if flag.value is None and equals:
            raise ConfigError(f"{word}: the flag takes no value; write {name}")
        if flag.value is not None:
            value = _checked(flag, name, value if equals else _following(flag, rest))
        found[flag.names[0]] = value
    return found, words


def _with_quoted_homes(word: str) -> str:
    """Return an override with quotes around values that begin with ``~``: Hydra's grammar has no such sign there.

    The shell leaves it alone behind a dotted key, and a path that begins with it is one below the home folder.
    """
    if re.match(r"[+]*[\w./@-]+=", word) is None or '"' in word or "'" in word:
        return word
    return re.sub(r"(?<=[=,(\[])~[^,()\[\]{}]*", lambda found: f'"{found[0]}"', word)


def user_dirs(flags: Mapping[str, str]) -> list[Path]:
    """Return the config folder that ``--config-dir`` names, if it does; raise ConfigError where it is none."""
    if "--config-dir" not in flags:
        return []
    folder = Path(flags["--config-dir"])
    if not folder.is_dir():
        raise ConfigError(f"--config-dir={folder}: no such folder")
    for name in NOT_CHOICES:
        if (folder / name).exists():
            raise ConfigError(
                f"{folder / name}: a config folder gives choices of bnexp's groups, GROUP/CHOICE.yaml, and not {name}; "
                "move it elsewhere, and write what it says on the command line"
            )
    return [folder]


def _following(flag: Flag, rest: list[str]) -> str:
    """Take the value of ``flag`` from the words that follow it; the empty string where there is none."""
    if flag.alone is not None:
        return rest.pop(0) if rest and rest[0] in flag.choices else flag.alone
    is_value = rest and (not rest[0].startswith("-") or rest[0][1:2].isdecimal())  # no flag begins with a number
    return rest.pop(0) if is_value else ""


def _checked(flag: Flag, name: str, value: str) -> str:
    options = ", ".join(flag.choices)
    if not value:
        fix = f"give it one of {options}" if options else f"write {name} {flag.value}"
        raise ConfigError(f"{name}: the flag lacks its value; {fix}")
    if flag.choices and value not in flag.choices:
        raise ConfigError(f"{name}={value}: must be one of {options}{did_you_mean(value, flag.choices)}")
    return value
