"""Which code a configuration may name, and what it may say to it.

A config file that somebody sent you must not be able to run any code it likes: a ``_target_`` has to be a part of
bnexp's floor 1 or the training settings, a module or initializer of PyTorch, or in a package that the user lists in the
environment variable ``BNEXP_PLUGINS`` (comma-separated). The object's own home counts, not the path that reaches it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import Any, get_type_hints

from bnexp.errors import ConfigError, did_you_mean
from bnexp.ranges import Location, Unless, marks, violation

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

_ROOMS = ("bnexp.data.", "bnexp.nn.", "bnexp.models.", "bnexp.optim.", "bnexp.training.settings.")
_SPECIAL = ("_target_", "_partial_")


def resolve(path: str, group: str) -> Callable[..., Any]:
    """Import what ``_target_: path`` names.

    Raises:
        ConfigError: where it lies outside the allowed packages, or does not exist.
    """
    plugins = tuple(f"{name.strip()}." for name in os.environ.get("BNEXP_PLUGINS", "").split(",") if name.strip())
    refusal = ConfigError(
        f"{group}._target_={show(path)} is outside the packages that a config may call "
        f"({', '.join(_ROOMS)}, torch.nn.); if you trust it, name its package in the environment variable BNEXP_PLUGINS"
    )
    if not isinstance(path, str) or not path.startswith((*_ROOMS, "torch.nn.", *plugins)):
        raise refusal
    found = _import(path)
    if not callable(found):
        raise ConfigError(
            f"{group}._target_={path} names nothing that can be called; `bnexp list {group}` shows the choices"
        )
    home = f"{getattr(found, '__module__', '')}."
    if not (home.startswith((*_ROOMS, *plugins)) or _is_torch_part(found, home)):
        raise refusal
    return found  # type: ignore[no-any-return]


def _import(path: str) -> Any:
    parts = path.split(".")
    for num_module_parts in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:num_module_parts]))
        except ModuleNotFoundError:
            continue
        for part in parts[num_module_parts:]:
            found = getattr(found, part, None)
        return found
    return None


def _is_torch_part(found: Any, home: str) -> bool:
    from torch import nn

    if home == "torch.nn.init.":
        return True
    return isinstance(found, type) and issubclass(found, nn.Module) and home.startswith("torch.")


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
    for key, value in node.items():
        if key in _SPECIAL:
            continue
        if key not in schema:
            known = ", ".join(f"{group}.{name}" for name in schema) or "nothing to set"
            lines.append(f"{group}.{key}: {choice} has no '{key}'{did_you_mean(str(key), schema)} (it has: {known})")
        elif (rule := violation(value, schema[key].annotation)) is not None:
            lines.append(f"{group}.{key}={show(value)} {rule}")
    required = [name for name, parameter in schema.items() if parameter.default is parameter.empty]
    lines += [
        f"{group}.{name} is not set; {choice} needs it: add {group}.{name}=…" for name in required if name not in node
    ]
    return lines


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
