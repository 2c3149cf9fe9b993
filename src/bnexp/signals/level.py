"""Which signals does a run record, and on how many examples?"""

from __future__ import annotations

from math import lcm
from typing import Literal

from torch import nn

Level = Literal["off", "light", "full"]

LIMIT = 0.03
"""Largest share of the training time that ``auto`` lets the light signals take."""

COST = 3
"""What a probed example costs at level light, in trained examples (docs/signals.md has the measurements)."""


def choose_level(level: Literal["off", "light", "full", "auto"], num_probed: int, num_trained: int) -> Level:
    """Return the level to measure at: ``auto`` is ``light`` where that is cheap, else ``off``.

    Decided by counts and not by a clock, so that the same configuration records the same on every machine.

    Formula: light where COST · num_probed ≤ LIMIT · num_trained

    Args:
        level: what the configuration asks for.
        num_probed: examples of the probe batch.
        num_trained: examples of all training steps between two evaluations.
    """
    if level != "auto":
        return level
    return "light" if COST * num_probed <= LIMIT * num_trained else "off"


def probe_size(wanted: int, num_examples: int, model: nn.Module) -> int:
    """Return how many examples the probe batch has: as ``wanted``, as far as the split has them.

    Ghost batch norm takes whole ghost batches alone, so under it the number is a multiple of theirs.
    """
    sizes = (getattr(module, "ghost_size", 1) for module in model.modules())
    unit = lcm(*(size for size in sizes if isinstance(size, int)))
    return max(min(wanted, num_examples) // unit, 1) * unit
