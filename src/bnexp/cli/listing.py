"""``bnexp list``: the groups, the choices of a group, what one choice does and takes."""

from __future__ import annotations

import ast
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import bnexp
from bnexp.cli.flags import CONFIG_DIR, parse, user_dirs
from bnexp.config.choice_file import read_choice
from bnexp.config.folder import choices, config_dir, groups
from bnexp.config.targets import show
from bnexp.config.yaml_file import read_mapping, read_text
from bnexp.errors import ConfigError, did_you_mean
from bnexp.text import say

HELP = """\
usage: bnexp list [GROUP [CHOICE]] [--config-dir DIR]

  bnexp list                  the groups, how many choices each has, and which is taken if none is named
  bnexp list GROUP            the choices of a group, a line each; * marks the one taken if none is named
  bnexp list GROUP CHOICE     what a choice does, its formula and source, and the values that can be set

flags:
  -cd, --config-dir DIR       list the choices in DIR too, as bnexp train --config-dir DIR takes them
"""

MIN_TEXT_WIDTH = 24  # a narrower column of prose is no longer read with ease


def help_text() -> str:
    """Return what ``bnexp list --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Print what can be chosen; return the exit status."""
    flags, words = parse(arguments, [CONFIG_DIR], "list")
    folders = search_path(flags)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    match words:
        case []:
            lines = all_groups(folders)
            footer = "bnexp list GROUP names the choices of one."
        case [group]:
            lines = one_group(folders, group, width)
            footer = f"* is taken if none is named; bnexp list {group} CHOICE says more."
        case [group, choice]:
            lines = one_choice(folders, group, choice, width)
            footer = f"Set with bnexp train {group}={choice} {group}.KEY=VALUE"
        case [_, _, surplus, *_]:
            raise ConfigError(f"{surplus}: one word too many; write bnexp list [GROUP [CHOICE]]")
    # Whoever reads this through a pipe wants the lines alone.
    say(*lines, *(["", footer] if width else []))
    return 0


def search_path(flags: dict[str, str]) -> list[Path]:
    """Return the config folders in Hydra's order: the one named by ``--config-dir``, then bnexp's own."""
    return [*user_dirs(flags), config_dir()]


def primary() -> Path:
    """Return the config file that a training run starts from."""
    return config_dir() / "train.yaml"


def defaults() -> dict[str, str]:
    """Return the groups of a training run and the choice of each that is taken if none is named."""
    entries = [entry for entry in read_mapping(primary()).get("defaults", []) if isinstance(entry, dict)]
    pairs = [(str(key), str(choice)) for entry in entries for key, choice in entry.items()]
    return {key: choice for key, choice in pairs if not key.startswith("override ")}


def parts(folders: Sequence[Path], group: str, choice: str, above: frozenset[Path] = frozenset()) -> list[Path]:
    """Return the files that a choice is made of: its own, then those that its defaults list names."""
    if Path(group).name != group or Path(choice).name != choice:  # a stranger's run may name anything
        return []
    path = next((file for folder in folders if (file := folder / group / f"{choice}.yaml").exists()), None)
    if path is None or path in above:
        return []
    bases = [entry for entry in read_choice(path).get("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    return [path, *(file for base in bases for file in parts(folders, group, base, above | {path}))]


def all_groups(folders: Sequence[Path]) -> list[str]:
    """Return a line per group, those of a training run first and in its order."""
    chosen = defaults()
    found = groups(folders)
    names = [*(name for name in chosen if name in found), *(name for name in found if name not in chosen)]
    column = max(len(name) for name in ["group", *names])
    rows = [f"{name:<{column}}  {len(choices(folders, name)):>7}  {chosen.get(name, '-')}" for name in names]
    return [f"{'group':<{column}}  choices  default", *rows]


def one_group(folders: Sequence[Path], group: str, width: int | None) -> list[str]:
    """Return the choices of ``group`` with their descriptions, in lines of ``width`` characters (None: any)."""
    found = _known_group(folders, group)
    default = defaults().get(group)
    column = max(map(len, found)) + 4
    lines = []
    for name, path in found.items():
        head = f"{'*' if name == default else ' '} {name}"
        if width is None:
            lines.append(f"{head:<{column}}{description(path)}".rstrip())
        elif width - column >= MIN_TEXT_WIDTH:
            lines += _wrapped(f"{head:<{column}}", description(path), width, column) or [head]
        else:
            lines += [head, *_wrapped("    ", description(path), width, 4)]
    return lines


def one_choice(folders: Sequence[Path], group: str, choice: str, width: int | None) -> list[str]:
    """Return what ``choice`` does, the formula and source of the code that it names, and its values."""
    found = _known_group(folders, group)
    if choice not in found:
        hint = did_you_mean(choice, found) or f"; choose from {', '.join(found)}"
        raise ConfigError(f"{choice}: the group {group} has no such choice{hint}")
    files = parts(folders, group, choice)
    about = [f"{group}={choice}: {description(files[0])}".rstrip()]
    target = next((target for file in files if (target := read_choice(file).get("_target_"))), None)
    if target is not None:
        about += ["", show(target), *summary(docstring(show(target)))]
    if width is not None:
        about = [line for text in about for line in _wrapped("", text, width, 2) or [""]]
    return [*about, *(line for file in files for line in _values(file, told=file == files[0]))]


def _known_group(folders: Sequence[Path], group: str) -> dict[str, Path]:
    names = groups(folders)
    if group not in names:
        hint = did_you_mean(group, names) or f"; choose from {', '.join(names)}"
        raise ConfigError(f"{group}: there is no such group{hint}")
    return choices(folders, group)


def _wrapped(first: str, text: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(text, max(width, MIN_TEXT_WIDTH), initial_indent=first, subsequent_indent=" " * indent)


def _values(path: Path, *, told: bool) -> list[str]:
    """Return an empty line and the YAML lines that set values, without the description where it is ``told`` already."""
    text = re.sub(r"^defaults:.*\n([ \t]*- .*\n)*", "", read_text(path), flags=re.MULTILINE)
    kept = [line for line in text.splitlines() if not line.startswith(("# @package", "_target_:", "_partial_:"))]
    if told and description(path):
        del kept[0]
    return ["", *kept] if any(line.strip() for line in kept) else []


def description(path: Path) -> str:
    """Return the first comment line of a YAML file: what ``bnexp list`` says about the choice."""
    for line in read_text(path).splitlines():
        if not line.startswith("#"):
            return ""
        if not line.startswith("# @package"):
            return line.removeprefix("#").strip()
    return ""


def docstring(target: str) -> str:
    """Return the docstring of bnexp's function or class ``target``, read from the source and not imported."""
    *module, name = target.split(".")
    source = Path(bnexp.__file__).parents[1].joinpath(*module).with_suffix(".py")
    if module[:1] != ["bnexp"] or not all(map(str.isidentifier, module)) or not source.exists():
        return ""
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return ast.get_docstring(node) or ""
    return ""


def summary(text: str) -> list[str]:
    """Return the first line of a docstring and its paragraphs ``Formula: …`` and ``Source: …``, a line each."""
    paragraphs = re.findall(r"^(?:Formula|Source):.*(?:\n(?!\w+:|\s*$).+)*", text, re.MULTILINE)
    return [" ".join(part.replace("``", "`").split()) for part in [*text.splitlines()[:1], *paragraphs]]
