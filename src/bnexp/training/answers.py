"""Which answers of a network are right, whatever the classes are called and in which order they stand."""

from __future__ import annotations

import torch
from torch import Tensor


def wide(device: torch.device) -> torch.dtype:
    """Return the type that answers are counted in: float64, which Apple's GPUs lack."""
    return torch.float32 if device.type == "mps" else torch.float64


def credit(logits: Tensor, labels: Tensor) -> Tensor:
    """Return what each answer counts, (B,): 1 where the label's logit is the largest, 0 where another one is.

    Where k logits are the largest, the label's among them, it is 1/k, what choosing among them at random gets on
    average: ``argmax`` would take the class that stands first, and a network that has no opinion would be as good as
    that class is frequent. NaN where there is no answer, because the logits or their differences are not finite:
    softmax is made of these, and ``argmax`` of NaN is the first class again.

    Args:
        logits: (B, K), floating point.
        labels: (B,), class indices.
    """
    low, top = torch.aminmax(logits, dim=1, keepdim=True)
    is_top = logits == top
    share = is_top.gather(1, labels[:, None]) / is_top.sum(1, keepdim=True)
    return torch.where(top - low < torch.inf, share.to(wide(logits.device)), torch.nan).squeeze(1)


def num_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the number of right answers, a scalar on the device; what is no answer is not right. Nothing waits."""
    return credit(logits, labels).nansum()
