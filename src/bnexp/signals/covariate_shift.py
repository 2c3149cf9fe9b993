"""Does the update of the layers below change a layer's gradient? Internal covariate shift."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bnexp.signals.objective import Objective, inner, norm
from bnexp.signals.untouched import put_back_


class Shift(NamedTuple):
    """How far one layer's gradient moves, ‖G − G′‖, and the cosine of G and G′ (1: it does not turn)."""

    distance: float
    cosine: float


def covariate_shift(
    objective: Objective,
    layers: Mapping[str, Sequence[Tensor]],
    order: Sequence[Tensor],
    updated: Mapping[Tensor, Tensor],
) -> dict[str, Shift]:
    """Compare each layer's gradient before and after all parameters below it were updated; leave them as they were.

    Formula: G_i = ∇_{W_i} L(W_1, …, W_k), G′_i = ∇_{W_i} L(W_1′, …, W_{i−1}′, W_i, …, W_k), on the same batch
    Source: Santurkar et al. 2018, definition 2.1.

    Args:
        objective: L.
        layers: the trainable parameters of each layer that is asked about, in the order of computation.
        order: all trainable parameters in the order of computation, those of norms too.
        updated: W′, the value of each of them after the step.

    Returns:
        The shift of each layer; 0 for the first, which has nothing below it. The cosine is NaN where a gradient is 0.
    """
    start = [(parameter, parameter.detach().clone()) for parameter in order]
    position = {parameter: index for index, parameter in enumerate(order)}
    _, gradients = objective.gradients(order)
    numbers = []
    for own in layers.values():
        first = min(position[parameter] for parameter in own)
        put_back_((parameter, updated[parameter]) for parameter in order[:first])
        before = [gradients[position[parameter]] for parameter in own]
        _, after = objective.gradients(own)
        distance = norm([a - b for a, b in zip(before, after, strict=True)])
        numbers += [distance, inner(before, after) / (norm(before) * norm(after))]
    put_back_(start)
    flat = torch.stack(numbers).tolist() if numbers else []
    return dict(zip(layers, map(Shift, flat[::2], flat[1::2]), strict=True))


def after_a_step(
    optimizer: torch.optim.Optimizer, gradients: Mapping[nn.Parameter, Tensor], gradient_clip: float | None = None
) -> dict[Tensor, Tensor]:
    """Return the value that each parameter would have after ``optimizer`` stepped on ``gradients``.

    The step is a copy's, with the state that the optimizer has now (momentum, second moments): neither the optimizer
    nor the parameters change. ``gradients`` stand in the order in which training clips them.
    """
    copy = deepcopy(optimizer)
    copies = {
        own: other
        for group, copied in zip(optimizer.param_groups, copy.param_groups, strict=True)
        for own, other in zip(group["params"], copied["params"], strict=True)
    }
    for own, other in copies.items():
        other.grad = gradients[own].clone() if own in gradients else None
    if gradient_clip is not None:
        nn.utils.clip_grad_norm_([copies[own] for own in gradients], gradient_clip)
    with warnings.catch_warnings():  # a copy forgets that it has already said that it could be captured in a graph
        warnings.filterwarnings("ignore", "This instance was constructed with capturable=True", UserWarning)
        copy.step()
    return {own: other.detach() for own, other in copies.items()}
