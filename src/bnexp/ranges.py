"""Types that say which values a parameter takes, and the check that reads them.

A signature is the schema of its config node: ``lr: Positive`` refuses ``optimizer.lr=-1`` before anything is built.
Every type here is an ordinary ``float``, ``int`` or ``str`` to Python and to the type checker.
"""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Interval:
    """The finite numbers between ``low`` and ``high``; ``open_low``/``open_high`` leave the ends out."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return abs(value) <= LARGEST and above and below

    def __str__(self) -> str:
        parts = []
        if self.low > -math.inf:
            parts.append(f"greater than {self.low:.12g}" if self.open_low else f"at least {self.low:.12g}")
        if self.high < math.inf:
            parts.append(f"less than {self.high:.12g}" if self.open_high else f"at most {self.high:.12g}")
        return " and ".join(parts) or "finite"


@dataclass(frozen=True)
class Location:
    """Marks a parameter that says where something lies or runs; it cannot change a run's numbers."""


@dataclass(frozen=True)
class OnDisk:
    """Marks a parameter that is a path: ``~`` at its beginning is the home folder."""


@dataclass(frozen=True)
class Spelled:
    """Marks a parameter that is a text, whether or not it looks like a number: 9 and "9" are one value."""


@dataclass(frozen=True)
class Unless:
    """Marks a parameter that is not looked at where the ``other`` one is set; it cannot change a run's numbers then."""

    other: str


Finite = Annotated[float, Interval()]
Positive = Annotated[float, Interval(low=0, open_low=True)]
NonNegative = Annotated[float, Interval(low=0)]
Fraction = Annotated[float, Interval(low=0, high=1, open_high=True)]
Portion = Annotated[float, Interval(low=0, high=1, open_low=True)]
Probability = Annotated[float, Interval(low=0, high=1)]
Count = Annotated[int, Interval(low=1)]
Depth = Annotated[int, Interval(low=1, high=10_000)]
Width = Annotated[int, Interval(low=1, high=100_000)]
"""Far beyond all that was ever trained, and still small enough to be tried out without memory."""
Natural = Annotated[int, Interval(low=0)]
Place = Annotated[str, Location(), OnDisk()]
Name = Annotated[str | float | bool, Spelled()]
"""What a user calls something of theirs, a column say. 9 may be one."""


def violation(value: object, annotation: Any) -> str | None:
    """Say which rule of ``annotation`` the ``value`` breaks, or return ``None`` where it keeps them all.

    Understands ``int``, ``float``, ``bool``, ``str``, ``None``, ``Literal``, ``Annotated`` with :class:`Interval`,
    unions, ``list``/``Sequence`` and ``tuple``; anything else (a callable, a module) is left to the code that takes it.
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        broken = violation(value, args[0])
        if broken is not None:
            return broken
        intervals = [mark for mark in args[1:] if isinstance(mark, Interval)]
        if not intervals or not isinstance(value, int | float):
            return None
        if not abs(value) <= LARGEST:
            return f"must be finite and {intervals[0]}" if str(intervals[0]) != "finite" else "must be finite"
        return next((f"must be {interval}" for interval in intervals if value not in interval), None)
    if origin in (Union, types.UnionType):
        broken_rules = [violation(value, option) for option in args]
        if None in broken_rules:
            return None
        rules = dict.fromkeys(rule.removeprefix("must be ") for rule in broken_rules if rule)
        return "must be " + " or ".join(rules)
    if origin is Literal:
        names = [str(choice) for choice in args]
        if value in args and type(value) in {type(choice) for choice in args}:
            return None
        return f"must be one of {', '.join(names)}"
    if origin in (list, tuple, Sequence):
        if not isinstance(value, list | tuple):
            return "must be a list"
        return next((rule for item in value if (rule := violation(item, args[0]))), None)
    return _plain(value, annotation)


def canonical(value: Any, annotation: Any) -> Any:
    """Return ``value`` as its type has it: where a ``float`` is asked for, 1 is 1.0 and -0.0 is 0.0, in lists too."""
    if isinstance(value, list | tuple):
        return [canonical(item, annotation) for item in value]
    if value is not None and any(isinstance(mark, Spelled) for mark in _all_marks(annotation)):
        return str(value)
    if isinstance(value, float):
        return value + 0.0  # -0.0 + 0.0 is 0.0; every other number stays as it is
    plain = _plain_types(annotation)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole and float in plain and int not in plain else value


def _all_marks(annotation: Any) -> list[Any]:
    """Return the marks of an annotation and of everything inside it."""
    inner = [mark for option in get_args(annotation) for mark in _all_marks(option)]
    return [*getattr(annotation, "__metadata__", ()), *inner]


def _plain_types(annotation: Any) -> set[Any]:
    """Return what is left of an annotation without unions, lists and marks."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain_types(args[0])
    if origin in (Union, types.UnionType, list, tuple, Sequence):
        return set().union(*map(_plain_types, args))
    return {type(choice) for choice in args} if origin is Literal else {annotation}


def words_of(annotation: Any) -> list[str]:
    """Return the words that an annotation takes, those of its ``Literal``."""
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return [word for option in get_args(annotation) for word in words_of(option)]


def marks(annotation: Any) -> list[Any]:
    """Return the marks of an annotation, and of the options where it is a union."""
    options = [annotation, *get_args(annotation)]
    return [mark for option in options for mark in getattr(option, "__metadata__", ())]


def _plain(value: object, annotation: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is float:
        return None if is_number else "must be a number"
    if annotation is int:
        if not is_number or not isinstance(value, int):
            return "must be a whole number"
        return None if abs(value) < 2**63 else "must be a whole number of at most 64 bits"
    if annotation is bool:
        return None if isinstance(value, bool) else "must be true or false"
    if annotation is str:
        return None if isinstance(value, str) else "must be text"
    if annotation is type(None) or annotation is None:
        return None if value is None else "must be null"
    return None
