"""Types that say which values a parameter takes, and the check that reads them.

A signature is the schema of its config node: ``lr: Positive`` refuses ``optimizer.lr=-1`` before anything is built.
Every type here is an ordinary ``float``, ``int`` or ``str`` to Python and to the type checker.
"""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from bnexp.errors import did_you_mean


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
        return -math.inf < value < math.inf and above and below

    def __str__(self) -> str:
        parts = ["finite"]
        if self.low > -math.inf:
            parts.append(f"greater than {self.low:g}" if self.open_low else f"at least {self.low:g}")
        if self.high < math.inf:
            parts.append(f"less than {self.high:g}" if self.open_high else f"at most {self.high:g}")
        return " and ".join(parts[1:] or parts)


@dataclass(frozen=True)
class Location:
    """Marks a parameter that says where something lies or runs; it cannot change a run's numbers."""


Finite = Annotated[float, Interval()]
Positive = Annotated[float, Interval(low=0, open_low=True)]
NonNegative = Annotated[float, Interval(low=0)]
Fraction = Annotated[float, Interval(low=0, high=1, open_high=True)]
Portion = Annotated[float, Interval(low=0, high=1, open_low=True)]
Probability = Annotated[float, Interval(low=0, high=1)]
Count = Annotated[int, Interval(low=1)]
Natural = Annotated[int, Interval(low=0)]
Place = Annotated[str, Location()]


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
        outside = [mark for mark in intervals if isinstance(value, int | float) and value not in mark]
        return f"must be {outside[0]}" if outside else None
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
        return f"must be one of {', '.join(names)}" + did_you_mean(str(value), names)
    if origin in (list, tuple, Sequence):
        if not isinstance(value, list | tuple):
            return "must be a list"
        return next((rule for item in value if (rule := violation(item, args[0]))), None)
    return _plain(value, annotation)


def _plain(value: object, annotation: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is float:
        return None if is_number else "must be a number"
    if annotation is int:
        return None if is_number and isinstance(value, int) else "must be a whole number"
    if annotation is bool:
        return None if isinstance(value, bool) else "must be true or false"
    if annotation is str:
        return None if isinstance(value, str) else "must be text"
    if annotation is type(None) or annotation is None:
        return None if value is None else "must be null"
    return None
