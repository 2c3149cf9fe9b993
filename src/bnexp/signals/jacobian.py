"""How a small change of an input changes the logits: singular values of the input–output Jacobian."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from bnexp.nn.statistics import population_statistics_


def singular_values(model: nn.Module, inputs: Tensor, num_examples: int) -> Tensor:
    """Return the singular values of ∂logits/∂input, largest first, each averaged over some examples.

    Formula: J_kd = ∂z_k/∂x_d for each example, d over all values of an input; a value is NaN where J is not finite
    Source: Pennington et al. 2017 ("dynamical isometry": all singular values near 1)

    In training a batch norm lets each example move all others' logits. Here its statistics are held at those of
    ``inputs``, so that an example has a Jacobian of its own; dropout and noise are off. ``model`` is not touched.

    Args:
        model: any network.
        inputs: (N, …), a batch whose statistics the norms take.
        num_examples: how many of them, from the first, have their Jacobian computed.

    Returns:
        (min(num_classes, number of input values),), float64, on the CPU.
    """
    jacobians = input_jacobians(model, inputs, num_examples)
    if not jacobians.isfinite().all():
        return torch.full((min(jacobians.shape[1:]),), torch.nan, dtype=torch.float64)
    values: Tensor = torch.linalg.svdvals(jacobians)
    return values.mean(0)


def input_jacobians(model: nn.Module, inputs: Tensor, num_examples: int) -> Tensor:
    """Return ∂logits/∂input (num_examples, num_classes, input values) as :func:`singular_values` describes it."""
    frozen = deepcopy(model)
    population_statistics_(frozen, [inputs])
    frozen.eval().requires_grad_(False)
    chosen = inputs[:num_examples]
    with torch.no_grad():
        num_classes = frozen(chosen).shape[1]
    # Each example once for each class: one backward pass then has all rows, since no example sees another.
    copies = chosen.repeat_interleave(num_classes, 0).requires_grad_()
    with torch.enable_grad():
        logits = frozen(copies).unflatten(0, (len(chosen), num_classes))
        (rows,) = torch.autograd.grad(logits.diagonal(dim1=1, dim2=2).sum(), copies)
    jacobians: Tensor = rows.flatten(1).unflatten(0, (len(chosen), num_classes)).cpu().double()
    return jacobians
