"""The landscape of a run: the loss on a grid around its weights, measured from its folder and written as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bnexp.analysis.trained import Trained
from bnexp.data.dataset import Examples
from bnexp.seeding import generator
from bnexp.signals.landscape import direction, losses, plain
from bnexp.training.batches import Scale, evaluation_batches, on_device
from bnexp.training.device import choose_device
from bnexp.training.step import autocast

Numbers = NDArray[np.float64]

BATCH_SIZE = 250
"""A matter of memory alone: the features of so many examples at a time."""


@dataclass(frozen=True)
class Landscape:
    """The loss of one run at each point of a slice.

    Attributes:
        label: what the run is called.
        run: the last two parts of its folder's path.
        step: training steps behind its weights.
        num_classes: chance is a loss of ln(num_classes).
        steps: (N,) coordinates, the same in both directions, in units of the weights' own size; 0 is in the middle.
        first: (N,) losses along the first direction.
        second: (N,) losses along the second.
        plane: (N, N) losses, a row for each step of the second direction, or None where only lines were taken.
    """

    label: str
    run: str
    step: int
    num_classes: int
    steps: Numbers
    first: Numbers
    second: Numbers
    plane: Numbers | None

    @property
    def all_losses(self) -> Numbers:
        """Return each loss once or twice, as one row."""
        parts = [self.first, self.second] if self.plane is None else [self.plane.ravel()]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Survey:
    """How landscapes are measured.

    Attributes:
        num_steps: points along each direction, an odd number.
        reach: the largest step, in units of the weights' own size.
        num_examples: training examples of the loss, the first of the split, which is in random order.
        seed: of the directions, the same for all runs.
        only_lines: whether the points between the two directions are left out.
    """

    num_steps: int
    reach: float
    num_examples: int
    seed: int
    only_lines: bool

    @property
    def num_points(self) -> int:
        """How many losses a landscape takes."""
        return 2 * self.num_steps if self.only_lines else self.num_steps**2

    @property
    def steps(self) -> list[float]:
        """The coordinates from -reach to reach; the middle one is exactly 0."""
        last = self.num_steps - 1
        return [self.reach * (2 * index - last) / max(last, 1) for index in range(self.num_steps)]


def measure(trained: Trained, label: str, survey: Survey, advance: Callable[[int], None]) -> Landscape:
    """Measure the loss around a run's weights; ``advance(1)`` is called after each point.

    The loss is the cross-entropy of training examples (labels with the run's label noise, inputs not augmented), so
    that runs with different losses have landscapes of one unit.
    """
    experiment = trained.experiment
    device = choose_device("auto")
    batches = list(_batches(trained, survey.num_examples, device))
    model = plain(trained.model).to(device)
    directions = [direction(model, generator(survey.seed, "landscape", index)) for index in range(2)]
    steps = survey.steps
    if survey.only_lines:
        points = [(step, 0.0) for step in steps] + [(0.0, step) for step in steps]
    else:
        points = [(first, second) for second, first in product(steps, steps)]
    found = []
    for loss in losses(model, directions, points, batches, autocast(experiment.settings, device)):
        found.append(loss)
        advance(1)
    shaped = np.array(found).reshape(-1, len(steps))
    middle = len(steps) // 2
    first, second = shaped if survey.only_lines else (shaped[middle], shaped[:, middle])
    return Landscape(
        label=label,
        run=experiment.name,
        step=trained.step,
        num_classes=len(experiment.dataset.classes),
        steps=np.array(steps),
        first=first,
        second=second,
        plane=None if survey.only_lines else shaped,
    )


def as_csv(landscapes: Sequence[Landscape]) -> str:
    """Return a row for each point: label, run, step in the first and the second direction, loss (inf, nan as such)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "run", "first", "second", "loss"])
    for landscape in landscapes:
        head = [landscape.label, landscape.run]
        writer.writerows([*head, *map(repr, point)] for point in _points(landscape))
    return text.getvalue()


def _batches(trained: Trained, num_examples: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    dataset = trained.experiment.dataset
    some = Examples(dataset.train.inputs[:num_examples], dataset.train.labels[:num_examples])
    return evaluation_batches(on_device(some, device), Scale(dataset, device), BATCH_SIZE)


def _points(landscape: Landscape) -> list[tuple[float, float, float]]:
    steps = landscape.steps.tolist()
    if landscape.plane is not None:
        rows = zip(steps, landscape.plane.tolist(), strict=True)
        return [(x, y, loss) for y, row in rows for x, loss in zip(steps, row, strict=True)]
    on_first = zip(steps, landscape.first.tolist(), strict=True)
    on_second = zip(steps, landscape.second.tolist(), strict=True)
    return [(x, 0.0, loss) for x, loss in on_first] + [(0.0, y, loss) for y, loss in on_second]
