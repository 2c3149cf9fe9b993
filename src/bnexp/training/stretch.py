"""Stretches of training steps: a run asks for one, and whoever drives it takes the steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from bnexp.training.clock import clock
from bnexp.training.timeout import TimeLimit


@dataclass(frozen=True)
class Stretch:
    """The steps from ``start`` up to ``end`` of a run, to be taken before it evaluates.

    Attributes:
        seek: makes a step the next one: its batch, its learning rate.
        step: takes the next step: the same work on the same tensors each time, and nothing that waits for the device.
        told: hears how many steps are done.
        say: tells the user a line.
        generators: what the steps draw from.
        has_fixed_update: whether the optimizer's update is the same work each time, too.
        limit: the time that the run has left.
    """

    start: int
    end: int
    seek: Callable[[int], None]
    step: Callable[[], None]
    told: Callable[[int], None]
    say: Callable[[str], None]
    generators: Sequence[torch.Generator]
    has_fixed_update: bool
    limit: TimeLimit


class Taken(NamedTuple):
    """How a stretch was taken: a run's share of the seconds, with how many others, and whether by a CUDA graph."""

    seconds: float
    replicas: int = 1
    graph: bool = False


Run = Generator[Stretch, Taken, dict[str, Any]]
"""A run as a coroutine: yields the stretches that it wants taken, is sent how they were, returns its result."""

Take = Callable[[Sequence[Stretch]], Taken]
"""Takes stretches of equal bounds, one of each of some runs."""


def take_step_by_step(stretches: Sequence[Stretch]) -> Taken:
    """Take the steps as PyTorch takes them: every operation is launched by itself."""
    (stretch,) = stretches
    started = clock.now()
    for index in range(stretch.start, stretch.end):
        stretch.seek(index)
        stretch.step()
        stretch.told(index + 1)
    wait_for_device()
    return Taken(clock.now() - started)


def wait_for_device() -> None:
    """Return when the GPU has done what it was told, so that the clock is right."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
