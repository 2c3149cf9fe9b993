"""Optimizers that change one thing about Adam: its correction, its norm, its momentum, or its first steps.

``weight_decay`` is L2 in all of them: g stands for g + λ θ.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn, optim

from bnexp.optim.optimizers import capturable, parameter_groups
from bnexp.ranges import Fraction, NonNegative, Positive


class UncorrectedAdam(torch.optim.Optimizer):
    """Adam as it would be if its averages, which start at 0, were taken as they are."""

    def __init__(self, groups: list[dict[str, object]], lr: float, betas: tuple[float, float], eps: float) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "capturable": True})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient: Tensor = parameter.grad.add(parameter, alpha=group["weight_decay"])
                state = self.state[parameter]
                if not state:
                    state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["mean"].lerp_(gradient, 1 - beta1)
                state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
                scale = state["square"].sqrt().add_(group["eps"])
                parameter.sub_(state["mean"].div(scale).mul_(group["lr"]))  # the rate may be a tensor


def adam_uncorrected(
    model: nn.Module,
    *,
    lr: Positive,
    beta1: Fraction,
    beta2: Fraction,
    eps: Positive,
    weight_decay: NonNegative,
    decay_all: bool,
) -> UncorrectedAdam:
    """Adam without its bias correction, to see what that does: the first step is (1 − β₁) / √(1 − β₂) times as long.

    Formula: m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; θ ← θ − lr · m / (√v + ε)
    Source: Kingma & Ba 2015, algorithm 1 without its correction (section 6.4 compares the two).
    """
    return UncorrectedAdam(parameter_groups(model, weight_decay, decay_all), lr, (beta1, beta2), eps)


def adamax(
    model: nn.Module,
    *,
    lr: Positive,
    beta1: Fraction,
    beta2: Fraction,
    eps: Positive,
    weight_decay: NonNegative,
    decay_all: bool,
) -> optim.Adamax:
    """Adam with the largest recent gradient in place of the root mean square.

    Formula: m ← β₁ m + (1 − β₁) g; u ← max(β₂ u, |g| + ε); θ ← θ − lr / (1 − β₁ᵗ) · m / u
    Source: Kingma & Ba 2015, algorithm 2 (which has no ε).
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.Adamax(groups, lr=lr, betas=(beta1, beta2), eps=eps, capturable=capturable(model))


def nadam(
    model: nn.Module,
    *,
    lr: Positive,
    beta1: Fraction,
    beta2: Fraction,
    eps: Positive,
    momentum_decay: NonNegative,
    weight_decay: NonNegative,
    decay_all: bool,
) -> optim.NAdam:
    """Adam with Nesterov's look ahead, and a momentum that rises to β₁ over the steps.

    Formula: μₜ = β₁ (1 − ½ · 0.96^(tψ)); m, v as in Adam;
        θ ← θ − lr · (μₜ₊₁ m / (1 − ∏_{i ≤ t+1} μᵢ) + (1 − μₜ) g / (1 − ∏_{i ≤ t} μᵢ)) / (√(v / (1 − β₂ᵗ)) + ε)
    Source: Dozat 2016, algorithm 2; ψ is ``momentum_decay``.
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.NAdam(
        groups, lr=lr, betas=(beta1, beta2), eps=eps, momentum_decay=momentum_decay, capturable=capturable(model)
    )


def radam(
    model: nn.Module,
    *,
    lr: Positive,
    beta1: Fraction,
    beta2: Fraction,
    eps: Positive,
    weight_decay: NonNegative,
    decay_all: bool,
) -> optim.RAdam:
    """Adam that is SGD with momentum until enough steps are averaged to divide by their root mean square.

    Formula: ρ∞ = 2 / (1 − β₂) − 1; ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ); m̂ = m / (1 − β₁ᵗ);
        where ρ > 5: θ ← θ − lr · m̂ · r · √(1 − β₂ᵗ) / (√v + ε), r² = (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ);
        elsewhere: θ ← θ − lr · m̂
    Source: Liu et al. 2020, algorithm 2 (which asks for ρ > 4; the authors' code and PyTorch for 5).
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.RAdam(groups, lr=lr, betas=(beta1, beta2), eps=eps, capturable=capturable(model))
