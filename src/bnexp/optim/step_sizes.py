"""Optimizers that find each parameter a step size of its own, and are not kin of Adam."""

from __future__ import annotations

from typing import Annotated

from torch import nn, optim

from bnexp.optim.optimizers import capturable, parameter_groups, without_schedule
from bnexp.ranges import Fraction, Interval, NonNegative, Positive

BelowOne = Annotated[float, Interval(low=0, high=1, open_low=True, open_high=True)]
AboveOne = Annotated[float, Interval(low=1, open_low=True)]


def adagrad(
    model: nn.Module, *, lr: Positive, eps: Positive, weight_decay: NonNegative, decay_all: bool
) -> optim.Adagrad:
    """Divide by the root of the sum of all squared gradients so far; the steps only get shorter.

    Formula: s ← s + g²; θ ← θ − lr · g / (√s + ε), g with λ θ added
    Source: Duchi et al. 2011, figure 1, in its diagonal form; s starts at 0 (in Keras at 0.1).
    """
    return optim.Adagrad(parameter_groups(model, weight_decay, decay_all), lr=lr, eps=eps)


def adadelta(
    model: nn.Module, *, lr: Positive, rho: Fraction, eps: Positive, weight_decay: NonNegative, decay_all: bool
) -> optim.Adadelta:
    """Steps in units of the recent steps, so that no learning rate has to be found.

    Formula: v ← ρ v + (1 − ρ) g²; Δ = g · √(u + ε) / √(v + ε); u ← ρ u + (1 − ρ) Δ²; θ ← θ − lr · Δ, g with λ θ added
    Source: Zeiler 2012, algorithm 1 (where lr is 1); ε stands inside the roots, and decides on the first steps.
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.Adadelta(groups, lr=lr, rho=rho, eps=eps, capturable=capturable(model))


@without_schedule
def rprop(
    model: nn.Module,
    *,
    lr: Positive,
    eta_minus: BelowOne,
    eta_plus: AboveOne,
    min_step: Positive,
    max_step: Positive,
) -> optim.Rprop:
    """Steps by the sign of the gradient alone; a step grows while the sign stays and shrinks when it turns.

    Meant for full batches: between two batches signs turn at random. ``lr`` is the first step; weights do not decay.

    Formula: Δ ← η₊ Δ where g · g_old > 0, η₋ Δ and g ← 0 where < 0 (within min_step and max_step); θ ← θ − Δ · sign(g)
    Source: Riedmiller & Braun 1993, in the form of Igel & Hüsken 2000 that takes no step back (iRprop⁻).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return optim.Rprop(
        parameters,
        lr=lr,
        etas=(eta_minus, eta_plus),
        step_sizes=(min_step, max_step),
        capturable=capturable(model),
    )
