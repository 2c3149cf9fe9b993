"""What an untrained network does with one batch: its first loss, its gradients, and whether it can learn it by heart.

The functions marked ``_`` train or run the network that they are given; give them a copy. Their ``seconds`` are those
that this thread computes, so that other programs on a machine do not decide what is found.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.nn.initialize import LAYERS
from bnexp.nn.losses import Loss
from bnexp.nn.noise import Dropout
from bnexp.training.answers import num_correct

SETTLED = 0.01
"""Relative difference of the logits of both modes at which running statistics need no more passes."""

PATIENCE = 50
"""Passes in which that difference has to shrink by a tenth: with a momentum of 0.01 it nearly halves."""


@dataclass(frozen=True)
class Task:
    """One batch, and what is asked of it.

    Attributes:
        inputs: (B, …) as the network gets them.
        labels: (B,) class indices.
        loss: of the training.
        gradient_clip: largest 2-norm of the gradient, or None.
        autocast: context of the forward passes.
    """

    inputs: Tensor
    labels: Tensor
    loss: Loss
    gradient_clip: float | None
    autocast: torch.autocast

    def logits(self, model: nn.Module) -> Tensor:
        """Return the logits (B, K) of the batch, in float32."""
        with self.autocast:
            logits: Tensor = model(self.inputs)
        return logits.float()


class Fit(NamedTuple):
    """How far a network came with one batch.

    Attributes:
        step: the steps after which all answers were right for the first time, or None.
        num_steps: the steps taken.
        accuracy: the best fraction of right answers, in training mode.
        loss: the last step's.
        unreached: parameters whose gradient was exactly 0 or missing in each of the first steps.
        broken: parameters whose gradient was not finite in one of them.
    """

    step: int | None
    num_steps: int
    accuracy: float
    loss: float
    unreached: tuple[str, ...]
    broken: tuple[str, ...]


class Agreement(NamedTuple):
    """How alike a network's answers are in training and in evaluation mode.

    Attributes:
        predictions: fraction of the batch with the same answer; logits that are not finite are no answer.
        difference: ‖z_eval − z_train‖ / ‖z_train‖ over the logits of the batch.
    """

    predictions: float
    difference: float


def without_dropout_(model: nn.Module) -> nn.Module:
    """Let dropout drop nothing: a batch cannot be learned by heart through it, and its two modes differ on purpose."""
    for module in model.modules():
        if isinstance(module, Dropout | nn.Dropout):
            module.p = 0.0
    return model


@torch.no_grad()
def initial_loss_(model: nn.Module, task: Task) -> float:
    """Return the cross-entropy of the first forward pass, in nats and in training mode, whatever the run's loss is.

    A network that knows nothing should say so: ln(K) for K classes.
    """
    return float(F.cross_entropy(task.logits(model.train()), task.labels))


def fit_(
    model: nn.Module,
    task: Task,
    optimizer: torch.optim.Optimizer,
    *,
    num_steps: int,
    gradient_steps: int,
    seconds: float,
) -> Fit:
    """Train on one batch until every answer is right, ``num_steps`` steps at most, and watch the first gradients.

    No step begins after so many ``seconds``, but for those whose gradients are watched.

    Gradients are watched over several steps, as some initializers start branches at 0 on purpose (Fixup) and a gradient
    reaches them after the first step. The bias of a layer in front of a norm is no unreached parameter: the norm
    subtracts it, so its gradient is 0 (up to rounding).
    """
    model.train()
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    reached, broken = set[str](), set[str]()
    first, best, last, taken = None, 0.0, math.nan, 0
    deadline = time.thread_time() + seconds
    for step in range(num_steps):
        logits = task.logits(model)
        loss = task.loss(logits, task.labels)
        accuracy = float(num_correct(logits.detach(), task.labels)) / len(task.labels)
        best, last = max(best, accuracy), float(loss.detach())
        if first is None and accuracy == 1:
            first = step
        is_over = first is not None or time.thread_time() > deadline
        if not math.isfinite(last) or (is_over and step >= gradient_steps):
            break
        loss.backward()
        if step < gradient_steps:
            reached |= {name for name, parameter in trained if _has_gradient(parameter)}
            broken |= {name for name, parameter in trained if not _is_finite(parameter)}
        if task.gradient_clip is not None:
            nn.utils.clip_grad_norm_([parameter for _, parameter in trained], task.gradient_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        taken = step + 1
    subtracted = _biases_of_reached_layers(model, reached)
    unreached = tuple(name for name, _ in trained if name not in reached and name not in subtracted)
    return Fit(first, taken, best, last, unreached, tuple(sorted(broken)))


@torch.no_grad()
def agreement_(model: nn.Module, task: Task, *, num_passes: int, seconds: float) -> Agreement:
    """Compare the answers of training mode with those of evaluation mode, on one batch that the network has settled on.

    Forward passes in training mode let running statistics come to those of the batch, until both modes answer alike
    and the logits differ by less than 1 %, or no longer come nearer to each other; ``num_passes`` of them at most, and
    none begins after so many ``seconds``. What is left is the n / (n − 1) of the running variance over n values a
    channel, and what a norm does at random or in parts of the batch.
    """
    deadline, before = time.thread_time() + seconds, math.inf
    for number in range(1, num_passes + 1):
        training, evaluation = task.logits(model.train()), task.logits(model.eval())
        is_answer = training.isfinite().all(1) & evaluation.isfinite().all(1)
        same = (is_answer & (training.argmax(1) == evaluation.argmax(1))).double().mean()
        size = training.norm().clamp_min(torch.finfo(training.dtype).tiny)
        found = Agreement(float(same), float((evaluation - training).norm() / size))
        if (found.predictions == 1 and found.difference < SETTLED) or time.thread_time() > deadline:
            break
        if number % PATIENCE == 0:
            if not found.difference < 0.9 * before:
                break
            before = found.difference
    return found


def _has_gradient(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool((parameter.grad != 0).any())


def _is_finite(parameter: nn.Parameter) -> bool:
    return parameter.grad is None or bool(parameter.grad.isfinite().all())


def _biases_of_reached_layers(model: nn.Module, reached: set[str]) -> set[str]:
    """Return the names of biases whose layer's own weight, or what a norm makes it of, has a gradient."""
    found = set()
    for name, layer in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(layer, LAYERS) and any(_is_weight(other, prefix) for other in reached):
            found.add(f"{prefix}bias")
    return found


def _is_weight(name: str, prefix: str) -> bool:
    return name == f"{prefix}weight" or name.startswith(f"{prefix}parametrizations.weight.")
