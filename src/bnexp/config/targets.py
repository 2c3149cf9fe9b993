"""Which code a configuration may name, and what it may say to it.

A config file that somebody sent you must not be able to run any code it likes. A ``_target_`` of a group is what one of
bnexp's own choices of that group names, or what a package exports that the user lists in the environment variable
``BNEXP_PLUGINS`` (comma-separated): nothing private, and nothing that the package has from somewhere else.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from traceback import extract_tb
from typing import Any, get_type_hints

from bnexp.config.folder import config_dir
from bnexp.config.synonyms import keys_called, value_hint
from bnexp.errors import ConfigError, did_you_mean
from bnexp.ranges import Location, Unless, marks, violation, words_of

NUM_INJECTED = {
    "dataset": 0,
    "model": 4,  # input_shape, num_classes, activation, norm
    "activation": 0,
    "init": 2,  # weight or model, context
    "norm": 0,
    "optimizer": 1,  # model
    "schedule": 2,  # step, num_steps
    "loss": 2,  # logits, targets
    "augment": 2,  # num_examples, generator
    "noise": 2,  # model, seed
    "training": 0,
    "evaluation": 0,
    "signals": 0,
}
"""The groups of a run, each with how many leading arguments of its target come from bnexp and not from the config."""

AT_ONCE = ("dataset", "norm", "training", "evaluation", "signals")
"""The groups whose target is called as soon as the configuration is complete; those of the others wait for a network, a
step or a batch (``_partial_: true``)."""

_SPECIAL = ("_target_", "_partial_")
_TARGET = re.compile(r"^_target_: *(\S+) *$", re.MULTILINE)


def resolve(path: str, group: str) -> Callable[..., Any]:
    """Import what ``_target_: path`` names.

    Raises:
        ConfigError: where a configuration may not call it, it does not exist, or its plugin cannot be imported.
    """
    if isinstance(path, str) and path in registered(group):
        module, _, name = path.rpartition(".")
        target: Callable[..., Any] = getattr(import_module(module), name)
        return target
    plugins = tuple(f"{name.strip()}." for name in os.environ.get("BNEXP_PLUGINS", "").split(",") if name.strip())
    if not isinstance(path, str) or not path.startswith(plugins):
        raise ConfigError(
            f"{group}._target_={show(path)} is outside what a config may call, the targets of bnexp's own choices "
            f"(bnexp list {group}); if you trust it, name its package in the environment variable BNEXP_PLUGINS"
        )
    return _exported(path, group, plugins)


@cache
def registered(group: str) -> frozenset[str]:
    """Return the targets that bnexp's own choices of a group name."""
    files = (config_dir() / group).glob("*.yaml") if group in NUM_INJECTED else ()
    return frozenset(path for file in files for path in _TARGET.findall(file.read_text(encoding="utf-8")))


def _exported(path: str, group: str, plugins: tuple[str, ...]) -> Callable[..., Any]:
    """Return what a plugin's package has under the name ``path``, if it is the package's own and meant for others."""
    parts = path.split(".")
    if any(part.startswith("_") or not part.isidentifier() for part in parts):
        raise ConfigError(
            f"{group}._target_={path}: no part of a plugin's target may begin with _; name what it exports"
        )
    found, num_imported = _imported(parts, group)
    for part in parts[num_imported:]:
        found = getattr(found, part, None)
    if not callable(found):
        place = ".".join(parts[:num_imported])
        raise ConfigError(f"{group}._target_={path} names nothing that can be called; look at what {place} defines")
    home = getattr(found, "__module__", None) or "nowhere"
    if not f"{home}.".startswith(plugins):
        raise ConfigError(
            f"{group}._target_={path} is not the plugin's own, but from {home}; define a function that calls it"
        )
    return found  # type: ignore[no-any-return]


def _imported(parts: Sequence[str], group: str) -> tuple[Any, int]:
    """Import the longest part of a dotted name that is a module; return it and the number of its parts."""
    for number in range(len(parts), 0, -1):
        name = ".".join(parts[:number])
        try:
            return import_module(name), number
        except (Exception, SystemExit) as error:  # a plugin's own code runs here, and may raise anything
            missing = f"{error.name}." if isinstance(error, ModuleNotFoundError) else "?"
            if number > 1 and f"{name}.".startswith(missing):
                continue  # a class, say; or the package is not there at all, which the shortest name will say
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}{_place(error)}"
            raise ConfigError(
                f"{group}._target_={'.'.join(parts)}: {name} cannot be imported ({reason}); "
                "the folder that holds a plugin must be on PYTHONPATH, the working folder too"
            ) from error
    raise AssertionError("unreachable")


def _place(error: BaseException) -> str:
    """Say where in a plugin's files an error was raised."""
    if isinstance(error, SyntaxError) and error.filename:
        return f", {error.filename}, line {error.lineno}"
    frames = [
        frame
        for frame in extract_tb(error.__traceback__)
        if frame.filename not in (__file__, importlib.__file__) and not frame.filename.startswith("<frozen importlib")
    ]
    return f", {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


@cache
def parameters(target: Callable[..., Any], num_injected: int) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of ``target`` that a config may set, with their annotations resolved."""
    signature = inspect.signature(target)
    function: Any = vars(target).get("__init__", target) if isinstance(target, type) else target
    hints = get_type_hints(function, include_extras=True)
    named = [
        parameter.replace(annotation=hints.get(parameter.name, Any))
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    leading = [parameter.name for parameter in named if parameter.kind is parameter.POSITIONAL_OR_KEYWORD][
        :num_injected
    ]
    return {parameter.name: parameter for parameter in named if parameter.name not in leading}


def problems(group: str, node: Mapping[str, Any], schema: Mapping[str, inspect.Parameter], choice: str) -> list[str]:
    """List what is wrong with the values of a config node, a line each."""
    lines = []
    waits = group not in AT_ONCE
    if node.get("_partial_", False) is not waits:
        lines.append(f"{group}._partial_={show(node.get('_partial_'))}: must be {show(waits)} in a choice of {group}")
    for key, value in node.items():
        if key in _SPECIAL:
            continue
        if key not in schema:
            known = ", ".join(f"{group}.{name}" for name in schema) or "nothing to set"
            lines.append(f"{group}.{key}: {choice} has no '{key}'{_meant(group, key, schema)} (it has: {known})")
        elif (rule := violation(value, schema[key].annotation)) is not None:
            hint = value_hint(f"{group}.{key}", value, words_of(schema[key].annotation))
            lines.append(f"{group}.{key}={show(value)} {rule}{hint}")
    required = [name for name, parameter in schema.items() if parameter.default is parameter.empty]
    lines += [
        f"{group}.{name} is not set; {choice} needs it: add {group}.{name}=…" for name in required if name not in node
    ]
    return lines


def _meant(group: str, key: str, schema: Mapping[str, inspect.Parameter]) -> str:
    """Return the hint for a key that a choice lacks: what the field's name for it is called, else the nearest."""
    own = [words for words in keys_called(key) if words.partition("=")[0].removeprefix(f"{group}.") in schema]
    return f"; write {own[0].rstrip('=')}" if own else did_you_mean(str(key), schema)


def show(value: object) -> str:
    """Write a value as one would on the command line."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(show, value))}]"
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def is_numeric(parameter: inspect.Parameter, node: Mapping[str, Any]) -> bool:
    """Whether the parameter can change a run's numbers: it says no place, and nothing else in its node overrules it."""
    found = marks(parameter.annotation)
    overruled = any(isinstance(mark, Unless) and node.get(mark.other) is not None for mark in found)
    return not overruled and not any(isinstance(mark, Location) for mark in found)


def build(node: Mapping[str, Any], group: str) -> Any:
    """Call the target of a config node with the node's values; with ``_partial_: true``, wait for the injected ones."""
    target = resolve(node["_target_"], group)
    values = {key: value for key, value in node.items() if key not in _SPECIAL}
    return partial(target, **values) if node.get("_partial_") else target(**values)
