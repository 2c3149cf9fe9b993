"""How well a model does on a split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Score(NamedTuple):
    """Mean cross-entropy in nats, and the fraction of examples whose largest logit is the label's."""

    loss: float
    accuracy: float


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
        both = torch.stack([loss, (logits.argmax(1) == labels).sum().to(loss.dtype)])
        sums = both if sums is None else sums + both
        num_examples += len(labels)
    model.train(was_training)
    if sums is None:
        raise ValueError("a split without examples has no score")
    loss_sum, num_correct = sums.tolist()
    return Score(loss_sum / num_examples, num_correct / num_examples)
