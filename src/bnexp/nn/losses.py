"""Losses of training: functions of the logits (B, K) and the targets, averaged over the batch.

Targets are class indices (B,), int64, or probabilities q (B, K), as label smoothing and mixup make them. With
probabilities every loss is the expectation over the label, Σ_y q_y · loss(z, y) (``mse`` less a constant). Evaluation
reports cross-entropy, whatever a run trains with, so that arms with different losses can be compared.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bnexp.ranges import NonNegative, Positive

Loss = Callable[[Tensor, Tensor], Tensor]


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return float32 probabilities (B, num_classes) with a 1 at each label (B,); unlike ``F.one_hot``, never waits."""
    return (labels[:, None] == torch.arange(num_classes, device=labels.device)).float()


def smoothed(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Return probabilities (B, num_classes) of labels (B,) that are right but for ``smoothing``: label smoothing.

    Formula: q_k = (1 − ε) [k = y] + ε / K
    Source: Szegedy et al. 2016, section 7, equation 3.
    """
    return one_hot(labels, num_classes) * (1 - smoothing) + smoothing / num_classes


def _probabilities(targets: Tensor, logits: Tensor) -> Tensor:
    probabilities = one_hot(targets, logits.shape[1]) if targets.dim() == 1 else targets
    return probabilities.to(logits.dtype)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the softmax, in nats.

    Formula: −log p_y, p = softmax(z)
    Source: Bridle 1990; ``torch.nn.functional.cross_entropy``.
    """
    return F.cross_entropy(logits, targets)


def focal(logits: Tensor, targets: Tensor, *, gamma: NonNegative) -> Tensor:
    """Cross-entropy that counts an example less, the better it is classified already; γ = 0 is cross-entropy.

    Formula: −(1 − p_y)^γ log p_y, p = softmax(z)
    Source: Lin et al. 2017, equation 4, over several classes and without the class weights α.
    """
    log_p = logits.log_softmax(1)
    # At p = 1 a power γ < 1 has an infinite slope, and infinity times the zero of log p is no number.
    doubt = (-log_p.expm1()).clamp_min(torch.finfo(log_p.dtype).tiny)
    return -(_probabilities(targets, logits) * doubt**gamma * log_p).sum(1).mean()


def mse(logits: Tensor, targets: Tensor) -> Tensor:
    """Squared distance of the logits themselves, without softmax, from the one-hot label.

    Formula: Σ_k (z_k − [k = y])² / K
    Source: Hui & Belkin 2021, section 2, without their rescaling for 42 and more classes.
    """
    return F.mse_loss(logits, _probabilities(targets, logits))


def hinge(logits: Tensor, targets: Tensor, *, margin: Positive) -> Tensor:
    """Multi-class hinge loss: how far each other logit comes within the margin of the label's.

    Formula: Σ_{k ≠ y} max(0, margin + z_k − z_y) / K
    Source: Weston & Watkins 1999, equation 2 (there with margin 2, and not divided by K); the form of
        ``torch.nn.MultiMarginLoss``.
    """
    excess = (margin + logits[:, None, :] - logits[:, :, None]).relu()  # (B, label, class)
    by_label = (excess.sum(2) - margin) / logits.shape[1]  # without the label's own term, which is the margin
    return (_probabilities(targets, logits) * by_label).sum(1).mean()
