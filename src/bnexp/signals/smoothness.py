"""How smooth is the loss along a training step? Loss range, gradient predictiveness, effective smoothness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bnexp.signals.objective import Objective, norm

FACTORS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
"""Step sizes in units of the learning rate; the range is Santurkar et al.'s (section 3.1)."""


@dataclass(frozen=True)
class Smoothness:
    """What the loss does along its gradient g, over steps η; all are of one batch.

    Attributes:
        loss_min, loss_max: range of L(θ − ηg), in nats.
        gradient_change_min, gradient_change_max: range of ‖∇L(θ) − ∇L(θ − ηg)‖; small means predictive gradients.
        effective_smoothness: max over η of ‖∇L(θ) − ∇L(θ − ηg)‖ / (η ‖g‖), the "effective β"; NaN where g = 0.
    """

    loss_min: float
    loss_max: float
    gradient_change_min: float
    gradient_change_max: float
    effective_smoothness: float


def smoothness(objective: Objective, lr: float, factors: Sequence[float] = FACTORS) -> Smoothness:
    """Walk from the present parameters θ against the gradient, by lr times each factor; leave θ as it was.

    The batch is the same at all points. Published copies of this measure that take the difference of two batches'
    gradients measure gradient noise instead. On a quadratic loss with Hessian H, the effective smoothness is
    ‖Hg‖ / ‖g‖ for every η.

    Formula: above, with η = factor · lr
    Source: Santurkar et al. 2018, section 3.1 and figure 4. The direction is the plain gradient, also for optimizers
        that step otherwise.
    """
    start = [parameter.detach().clone() for parameter in objective.parameters]
    _, gradient = objective.gradients()
    length = norm(gradient)
    losses, changes, ratios = [], [], []
    for factor in factors:
        _move_(objective, [value - factor * lr * slope for value, slope in zip(start, gradient, strict=True)])
        loss, there = objective.gradients()
        change = norm([a - b for a, b in zip(gradient, there, strict=True)])
        losses.append(loss)
        changes.append(change)
        ratios.append(change / (factor * lr * length))
    _move_(objective, start)
    loss_range, change_range = torch.stack(losses).aminmax(), torch.stack(changes).aminmax()
    numbers = torch.stack([*loss_range, *change_range, torch.stack(ratios).amax()])
    return Smoothness(*numbers.tolist())


@torch.no_grad()
def _move_(objective: Objective, values: Sequence[torch.Tensor]) -> None:
    for parameter, value in zip(objective.parameters, values, strict=True):
        parameter.copy_(value)
