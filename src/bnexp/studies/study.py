"""What a study consists of: arms, seeds, a target, and the claims that it was made to judge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Levels = Mapping[str, str]
"""The level of each factor, ``{"init": "he", "norm": "batch"}``."""


@dataclass(frozen=True)
class Arm:
    """One way of training: the overrides that make it, and its place in the factorial (empty outside of it)."""

    label: str
    overrides: tuple[str, ...]
    levels: Levels = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What a run has to reach: a ``value`` of a metric, or (None) the median of the baseline's best values."""

    metric: str
    value: float | None

    @property
    def higher_is_better(self) -> bool:
        """Losses go down, accuracies up."""
        return not self.metric.endswith("loss")


@dataclass(frozen=True)
class DeclaredClaim:
    """A claim as it was declared before the runs: an estimate of some ``kind`` lies between ``low`` and ``high``.

    ``arguments`` go to the function of the kind (see :mod:`bnexp.studies.claims`).
    """

    text: str
    source: str
    kind: str
    arguments: Mapping[str, Any]
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Study:
    """A study file, checked. Overrides are words as on the command line; those of ``base`` hold for all arms.

    ``no_target`` says why there is no target although one was declared, ``target_caution`` what limits a verdict that
    rests on the target.
    """

    name: str
    description: str
    question: str
    source: tuple[str, ...]
    base: tuple[str, ...]
    arms: tuple[Arm, ...]
    factors: Mapping[str, tuple[str, ...]]
    baseline: str
    seeds: int
    target: Target | None
    claims: tuple[DeclaredClaim, ...]
    cost: str
    settings: Mapping[str, tuple[str, ...]]
    no_target: str = ""
    target_caution: str = ""
