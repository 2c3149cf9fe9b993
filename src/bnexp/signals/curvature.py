"""How is the loss curved? The ends of the Hessian's spectrum, and how much of it is negative."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from bnexp.signals.objective import Objective

Product = Callable[[Tensor], Tensor]

BREAKDOWN = 1e-6
"""Lanczos has found an invariant subspace when the next direction is this small beside the largest so far."""


@dataclass(frozen=True)
class Curvature:
    """The spectrum of a symmetric matrix H in three numbers.

    Attributes:
        largest, smallest: the extreme eigenvalues, λ_max and λ_min, in nats per squared unit of the parameters.
            The estimates lie within the spectrum: λ_max is at least ``largest``, λ_min at most ``smallest``.
        negative_fraction: Σ_{λ<0} |λ| / Σ |λ|: 0 where the loss is convex, ½ where it curves down as much as up.
    """

    largest: float
    smallest: float
    negative_fraction: float


def curvature(objective: Objective, *, num_steps: int, num_vectors: int) -> Curvature:
    """Estimate the spectrum of the Hessian of ``objective`` by its products with vectors; parameters stay.

    Formula: :func:`spectrum`, with Hv = ∇ (∇L · v) (Pearlmutter 1994)
    """
    with _primitive_weight_norm(objective.model):
        gradients = torch.autograd.grad(
            objective(), objective.parameters, create_graph=True, allow_unused=True, materialize_grads=True
        )
    sizes = [gradient.numel() for gradient in gradients]

    def product(vector: Tensor) -> Tensor:
        parts = [part.view_as(slope) for part, slope in zip(vector.split(sizes), gradients, strict=True)]
        slope_along = torch.stack([(a * b).sum() for a, b in zip(gradients, parts, strict=True)]).sum()
        found = torch.autograd.grad(
            slope_along, objective.parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat([part.flatten() for part in found])

    return spectrum(product, gradients[0].new_empty(sum(sizes)), num_steps=num_steps, num_vectors=num_vectors)


@contextmanager
def _primitive_weight_norm(model: nn.Module) -> Iterator[None]:
    """Let weight norm be g · v / ‖v‖ of single operations within.

    PyTorch's own kernel for it (2.15) takes ‖v‖ for a constant when it is differentiated a second time, and the Hessian
    is not even symmetric; its first derivative is right.
    """
    found: list[Any] = [module for module in model.modules() if isinstance(module, parametrizations._WeightNorm)]
    for module in found:
        module.forward = partial(_weight_norm, dim=module.dim)
    try:
        yield
    finally:
        for module in found:
            del module.forward


def _weight_norm(scale: Tensor, direction: Tensor, dim: int) -> Tensor:
    return scale * direction / torch.norm_except_dim(direction, 2, dim)


def spectrum(product: Product, like: Tensor, *, num_steps: int, num_vectors: int) -> Curvature:
    """Estimate the spectrum of a symmetric matrix H of which only products are known.

    From a random unit vector, Lanczos gives a tridiagonal matrix; its eigenvalues θ_j approach the ends of the spectrum
    first, and with the squared first components τ_j² of its eigenvectors they are a Gauss quadrature for the spectral
    density, good for continuous functions. The *share* of eigenvalues below 0 is not one (half of a network's are 0
    but for rounding), |λ| and its negative part are: hence the fraction is one of mass, not of numbers.

    Formula: tr f(H) / n ≈ mean over vectors of Σ_j τ_j² f(θ_j); negative fraction = tr max(−H, 0) / tr |H|
    Source: Golub & Meurant 2010, chapters 4 and 6; for networks Ghorbani et al. 2019, section 2.

    Args:
        product: v ↦ Hv for vectors (n,).
        like: a vector (n,), for device and dtype.
        num_steps: products for each vector; n of them give the extreme eigenvalues exactly.
        num_vectors: random vectors. They come from a generator of their own, the same in each call.
    """
    draws = torch.Generator().manual_seed(0)
    values, weights = [], []
    for _ in range(num_vectors):
        start = torch.randn(len(like), generator=draws, dtype=torch.float64).to(like)
        diagonal, beside = lanczos(product, start / start.norm(), num_steps)
        tridiagonal = torch.diag(diagonal) + torch.diag(beside, 1) + torch.diag(beside, -1)
        if not tridiagonal.isfinite().all():
            return Curvature(torch.nan, torch.nan, torch.nan)
        theta, vectors = torch.linalg.eigh(tridiagonal)
        values.append(theta)
        weights.append(vectors[0].square())
    theta, tau = torch.cat(values), torch.cat(weights)
    negative = float((tau * theta.clamp(max=0).abs()).sum() / (tau * theta.abs()).sum())
    return Curvature(float(theta.max()), float(theta.min()), negative)


def lanczos(product: Product, start: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Return the diagonal (k,) and off-diagonal (k − 1,) of Lanczos' tridiagonal matrix, float64 on the CPU.

    Every new direction is made orthogonal to all before it, twice: without that, eigenvalues appear several times.
    k is ``num_steps``, or less where H's action on ``start`` is exhausted sooner.

    Source: Golub & Van Loan 2013, section 10.3, with full reorthogonalization.

    Args:
        product: v ↦ Hv for vectors (n,).
        start: a unit vector (n,).
        num_steps: the largest k.
    """
    basis = [start]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(num_steps, len(start))):
        direction = product(basis[-1])
        diagonal.append(float(direction @ basis[-1]))
        rows = torch.stack(basis)
        for _ in range(2):
            direction = direction - rows.T @ (rows @ direction)
        beside.append(float(direction.norm()))
        if not beside[-1] > BREAKDOWN * _scale(diagonal, beside):
            break
        basis.append(direction / beside[-1])
    return torch.tensor(diagonal, dtype=torch.float64), torch.tensor(beside[: len(diagonal) - 1], dtype=torch.float64)


def _scale(diagonal: Sequence[float], beside: Sequence[float]) -> float:
    return max(abs(value) for value in (*diagonal, *beside))
