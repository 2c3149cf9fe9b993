"""How well a model does on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import ceil, isnan, nan
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.data.dataset import Examples
from bnexp.nn.statistics import batch_statistics, population_statistics_
from bnexp.training.answers import credit, wide
from bnexp.training.batches import Scale, evaluation_batches
from bnexp.training.settings import Evaluation

PRECISE_EXAMPLES = 10_000
"""Training examples for precise statistics; 10³ to 10⁴ are near-optimal (Wu & Johnson 2021, section 3)."""

PRECISE_BATCH = 1000
"""The most of them in one batch; the batches are of equal sizes, so that none is too small to have statistics."""


class Score(NamedTuple):
    """Mean cross-entropy in nats, and the fraction of right answers (:func:`bnexp.training.answers.credit`).

    Both are NaN where the network has no answer to one example or more: there is no score then.
    """

    loss: float
    accuracy: float


NO_SCORE = Score(nan, nan)


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], autocast: torch.autocast) -> Score:
    """Score ``model`` in evaluation mode; sums stay on the device and cross over once, at the end."""
    was_training = model.training
    model.eval()
    sums: Tensor | None = None
    num_examples = 0
    for inputs, labels in batches:
        with autocast:
            logits = model(inputs).float()
        loss = F.cross_entropy(logits, labels, reduction="sum")
        both = torch.stack([loss.to(wide(loss.device)), credit(logits, labels).sum()])
        sums = both if sums is None else sums + both
        num_examples += len(labels)
    model.train(was_training)
    if sums is None:
        raise ValueError("a split without examples has no score")
    loss_sum, num_correct = sums.tolist()
    return NO_SCORE if isnan(num_correct) else Score(loss_sum / num_examples, num_correct / num_examples)


class Evaluator:
    """Scores a network on splits, with the batch statistics that the run's ``evaluation`` group asks for.

    The network is left as it was: its running statistics, its modes.
    """

    def __init__(self, settings: Evaluation, train: Examples, scale: Scale, autocast: torch.autocast) -> None:
        self.settings = settings
        self.train = train
        self.scale = scale
        self.autocast = autocast

    @contextmanager
    def scoring(self, model: nn.Module) -> Iterator[Callable[[Examples], Score]]:
        """Yield what scores ``model`` on all of a split. The statistics are made ready once for all splits within."""
        with self._statistics(model):
            yield lambda examples: evaluate(
                model, evaluation_batches(examples, self.scale, self.settings.batch_size), self.autocast
            )

    @contextmanager
    def _statistics(self, model: nn.Module) -> Iterator[None]:
        if self.settings.statistics == "running":
            yield
        elif self.settings.statistics == "batch":
            with batch_statistics(model):
                yield
        else:
            running = {name: buffer.clone() for name, buffer in model.named_buffers()}
            some = Examples(self.train.inputs[:PRECISE_EXAMPLES], self.train.labels[:PRECISE_EXAMPLES])
            size = ceil(len(some) / ceil(len(some) / PRECISE_BATCH))
            try:
                with self.autocast:
                    population_statistics_(model, (inputs for inputs, _ in evaluation_batches(some, self.scale, size)))
                yield
            finally:
                for name, buffer in model.named_buffers():
                    buffer.copy_(running[name])
