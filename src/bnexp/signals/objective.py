"""The training loss as a function of the parameters alone: one batch, training mode, frozen noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from bnexp.signals.moments import length
from bnexp.signals.untouched import noise_generators, put_back_

Loss = Callable[[Tensor, Tensor], Tensor]


class Objective:
    """L(θ) on one batch: the same dropout masks, noise and singular vectors at each evaluation, the batch's statistics.

    Without that, the difference of two losses or gradients would be that of two draws. Measures move the parameters
    and put them back; the buffers and generators move on with each evaluation, so use it within
    :func:`bnexp.signals.untouched.untouched`. Nothing is autocast: curvature is a difference of gradients, of which
    bfloat16 leaves nothing.

    Attributes:
        parameters: the trainable ones, in the order of registration.
    """

    def __init__(
        self, model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, generators: Iterable[torch.Generator] = ()
    ) -> None:
        self.model = model
        self.loss = loss
        self.inputs = inputs
        self.targets = targets
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        self._states = [(draws, draws.get_state()) for draws in noise_generators(model, generators)]

    def __call__(self) -> Tensor:
        """Return the loss (a scalar with its graph) at the present parameters."""
        put_back_(self._buffers)
        for draws, state in self._states:
            draws.set_state(state)
        return self.loss(self.model.train()(self.inputs), self.targets)

    def gradients(self, parameters: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return the loss and its gradient for each of ``parameters`` (all trainable ones), zero where it has none."""
        loss = self()
        wanted = self.parameters if parameters is None else parameters
        found = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
        return loss.detach(), list(found)


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the 2-norm (a scalar) of all tensors together, as if they were one vector."""
    return length(torch.stack([length(tensor) for tensor in tensors]))


def inner(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """Return the inner product (a scalar) of two lists of tensors, as if each were one vector."""
    return torch.stack([(a * b).sum() for a, b in zip(one, other, strict=True)]).sum()
