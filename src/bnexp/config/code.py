"""Which code a run's numbers come from: digests of sources, by content, for the run's fingerprint.

Version numbers and commits do not tell what was run: an edited file keeps both. So the sources themselves count.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

import bnexp
from bnexp.config.check import Config
from bnexp.config.targets import NUM_INJECTED, resolve
from bnexp.errors import ConfigError

NUMERIC = (
    "data",
    "nn",
    "models",
    "optim",
    "signals",
    "training",
    "construction.py",
    "experiment.py",
    "global_generators.py",
    "run.py",
    "seeding.py",
)
"""The parts of bnexp that can change a number of a run's record. The others read records, or words."""

NOT_SOURCES = ("__pycache__", ".")
"""What the names of folders begin with in a package that hold no sources."""


@cache
def own_digest() -> str:
    """Return the SHA-256 of bnexp's own sources that can change a number, as hexadecimal digits."""
    folder = Path(bnexp.__file__).parent
    files = [file for part in NUMERIC for file in _files(folder / part, "*.py")]
    return _digest((file.relative_to(folder).as_posix(), file) for file in files)


def plugin_digests(config: Config) -> dict[str, str]:
    """Return the SHA-256 of each plugin's code that a configuration calls, by the name of its top-level module.

    All files of the plugin's package count, whatever they are: it may read tables that lie beside its modules. Left
    out are compiled copies, hidden folders, and run folders. Of a plugin that is a single module, that file counts.
    So does each module outside the installed packages that its sources import, in turn. What a plugin imports by a
    computed name is not seen.

    Raises:
        ConfigError: where a target cannot be resolved, or a file of the plugin cannot be read.
    """
    names = {name for group in NUM_INJECTED for name in _homes(config[group]["_target_"], group)}
    return {name: _plugin_digest(name, config["output_dir"]) for name in sorted(names - {"bnexp", "torch"})}


def _homes(target: str, group: str) -> tuple[str, str]:
    """Return the top-level modules that a target is reached through and defined in."""
    found = resolve(target, group)
    return target.partition(".")[0], str(getattr(found, "__module__", "")).partition(".")[0]


@cache
def _plugin_digest(name: str, output_dir: str) -> str:
    # Once for each process: an edit under way changes the files, and not the code that has been imported.
    found: dict[str, Path] = {}
    waiting, seen = [name], {"bnexp"}
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        files = dict(_module_files(module, Path(output_dir).resolve()))
        found |= files
        for file in files.values():
            if file.suffix == ".py":
                waiting += [other for other in _imported(file) if other not in seen and not _is_installed(other)]
    try:
        return _digest(sorted(found.items()))
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: cannot be read ({error.strerror}), and it is part of plugin {name}, whose code is part "
            "of a run's identity; make it readable, or take it out of the package"
        ) from error


def _module_files(name: str, output_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a top-level module or package, each with a name that does not depend on where it lies."""
    spec = _spec(name)
    if spec is None:
        return
    for folder in spec.submodule_search_locations or ():
        for file in _files(Path(folder), "*"):
            if not file.resolve().is_relative_to(output_dir):
                yield f"{name}/{file.relative_to(folder).as_posix()}", file
    if spec.submodule_search_locations is None and spec.origin and Path(spec.origin).is_file():
        yield Path(spec.origin).name, Path(spec.origin)


def _files(path: Path, pattern: str) -> Iterator[Path]:
    """Yield the regular files at or below ``path`` in order of their names."""
    if path.is_file():
        yield path
        return
    for place, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(NOT_SOURCES))
        for name in sorted(names):
            file = Path(place, name)
            if file.match(pattern) and file.is_file() and file.suffix != ".pyc":
                yield file


def _imported(file: Path) -> set[str]:
    """Return the top-level names of the modules that a source imports, anywhere in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # a template, say; it is no module then
        return set()
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    of_module = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | of_module}


@cache
def _is_installed(name: str) -> bool:
    """Whether a module belongs to Python or to an installed package, of which the record holds the version."""
    if name in sys.builtin_module_names or name in sys.stdlib_module_names:
        return True
    spec = _spec(name)
    if spec is None:
        return True  # an optional import that is not there
    places = [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else [])]
    return any(_is_installation(Path(place).resolve().parent) for place in places)


def _is_installation(folder: Path) -> bool:
    """Whether installers put packages here: by its name, or (`pip install --target`) by the notes that they leave."""
    return folder.name in ("site-packages", "dist-packages") or any(folder.glob("*.dist-info"))


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # ValueError: a module that was made by hand, without a spec
        return None


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """Hash names and contents; the length before each keeps one from running into the next."""
    total = hashlib.sha256()
    for name, file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{len(name.encode())} {name} {content}\n".encode())
    return total.hexdigest()
