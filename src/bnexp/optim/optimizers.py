"""The optimizers, each ``torch.optim``'s own, with the parameters sorted into those that decay and those that don't.

Where textbooks differ, PyTorch's form holds: momentum is v ← μ v + g without the factor 1 − μ, ε stands outside the
root (but in ``adadelta``), and ``weight_decay`` adds λ θ to the gradient (L2) in every optimizer but ``adamw``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import torch
from torch import nn, optim

from bnexp.optim.uncompiled import leave_compiler_out
from bnexp.ranges import Fraction, Interval, NonNegative, Positive

leave_compiler_out()

Function = TypeVar("Function", bound=Callable[..., torch.optim.Optimizer])


def parameter_groups(model: nn.Module, weight_decay: float, decay_all: bool) -> list[dict[str, Any]]:
    """Split the trainable parameters into those with weight decay and those without.

    Weights of convolutions and linear layers have two or more dimensions and decay; biases and the parameters of
    norms have one and do not, unless ``decay_all`` (the usual practice; Goyal et al. 2017, section 5.1).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decaying = [parameter for parameter in parameters if decay_all or parameter.dim() > 1]
    others = [parameter for parameter in parameters if not decay_all and parameter.dim() <= 1]
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _fused(model: nn.Module) -> bool:
    """Whether PyTorch has a fused kernel of SGD and Adam for the device of ``model``."""
    return next(model.parameters()).device.type in ("cpu", "cuda", "mps")


def capturable(model: nn.Module) -> bool:
    """Whether an optimizer's step must keep its counts on the device, so that it need not wait and a graph can hold it.

    Only of a GPU: elsewhere PyTorch refuses, or takes the slower way.
    """
    return next(model.parameters()).device.type == "cuda"


def full_batch(function: Function) -> Function:
    """Mark an optimizer whose gradient is that of the whole training split, and not of a batch."""
    function.full_batch = True  # type: ignore[attr-defined]
    return function


def without_schedule(function: Function) -> Function:
    """Mark an optimizer that reads the learning rate at its first step and never again."""
    function.without_schedule = True  # type: ignore[attr-defined]
    return function


def sgd(model: nn.Module, *, lr: Positive, weight_decay: NonNegative, decay_all: bool) -> optim.SGD:
    """Stochastic gradient descent.

    Formula: θ ← θ − lr · (g + λ θ)
    Source: Robbins & Monro 1951.
    """
    return optim.SGD(parameter_groups(model, weight_decay, decay_all), lr=lr, fused=_fused(model))


@full_batch
def gd(model: nn.Module, *, lr: Positive, weight_decay: NonNegative, decay_all: bool) -> optim.SGD:
    """Gradient descent: the rule of ``sgd``, with the gradient of the whole training split.

    Formula: θ ← θ − lr · (g + λ θ)
    Source: Cauchy 1847.
    """
    return sgd(model, lr=lr, weight_decay=weight_decay, decay_all=decay_all)


def momentum(
    model: nn.Module, *, lr: Positive, momentum: Fraction, weight_decay: NonNegative, decay_all: bool
) -> optim.SGD:
    """SGD with heavy-ball momentum.

    Formula: v ← μ v + g + λ θ (v = g + λ θ at the first step); θ ← θ − lr · v
    Source: Polyak 1964; Sutskever et al. 2013. The averaging form, v ← μ v + (1 − μ) g, is the same at lr / (1 − μ).
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.SGD(groups, lr=lr, momentum=momentum, fused=_fused(model))


def nesterov(
    model: nn.Module,
    *,
    lr: Positive,
    momentum: Annotated[Fraction, Interval(low=0, open_low=True)],
    weight_decay: NonNegative,
    decay_all: bool,
) -> optim.SGD:
    """SGD with Nesterov momentum.

    Formula: v ← μ v + g + λ θ; θ ← θ − lr · (g + λ θ + μ v)
    Source: Nesterov 1983 in the form of Sutskever et al. 2013.
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.SGD(groups, lr=lr, momentum=momentum, nesterov=True, fused=_fused(model))


def asgd(
    model: nn.Module,
    *,
    lr: Positive,
    lambd: NonNegative,
    alpha: NonNegative,
    weight_decay: NonNegative,
    decay_all: bool,
) -> optim.ASGD:
    """SGD whose learning rate falls with the step t, and whose parameters all shrink a little.

    Formula: η = lr / (1 + λ lr (t − 1))^α; θ ← (1 − λ η) θ − η (g + weight_decay θ)
    Source: Bottou 2010, without the average over steps (Polyak & Juditsky 1992) that gave it its name: PyTorch keeps
        that in the optimizer's state, and no network is evaluated with it.
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.ASGD(groups, lr=lr, lambd=lambd, alpha=alpha, capturable=capturable(model))


def rmsprop(
    model: nn.Module,
    *,
    lr: Positive,
    alpha: Fraction,
    eps: Positive,
    momentum: Fraction,
    weight_decay: NonNegative,
    decay_all: bool,
) -> optim.RMSprop:
    """RMSProp: each coordinate's step divided by a running root mean square of its gradient.

    Formula: v ← α v + (1 − α) g²; θ ← θ − lr · g / (√v + ε)
    Source: Tieleman & Hinton 2012, lecture 6.5. Its learning rate is a hyperparameter like any other.
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.RMSprop(groups, lr=lr, alpha=alpha, eps=eps, momentum=momentum, capturable=capturable(model))


def adam(
    model: nn.Module,
    *,
    lr: Positive,
    beta1: Fraction,
    beta2: Fraction,
    eps: Positive,
    weight_decay: NonNegative,
    decay_all: bool,
) -> optim.Adam:
    """Adam; its ``weight_decay`` is L2, added to the gradient.

    Formula: m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; θ ← θ − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
    Source: Kingma & Ba 2015, algorithm 1.
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.Adam(groups, lr=lr, betas=(beta1, beta2), eps=eps, fused=_fused(model), capturable=capturable(model))


def adamw(
    model: nn.Module,
    *,
    lr: Positive,
    beta1: Fraction,
    beta2: Fraction,
    eps: Positive,
    weight_decay: NonNegative,
    decay_all: bool,
) -> optim.AdamW:
    """Adam with decoupled weight decay.

    Formula: θ ← θ − lr · λ θ, then Adam's step on the bare gradient
    Source: Loshchilov & Hutter 2019, algorithm 2 (PyTorch multiplies λ by the learning rate).
    """
    groups = parameter_groups(model, weight_decay, decay_all)
    return optim.AdamW(groups, lr=lr, betas=(beta1, beta2), eps=eps, fused=_fused(model), capturable=capturable(model))


def has_fixed_update(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step is the same work on a GPU's tensors each time, its counts among them, so that a graph can hold it.

    PyTorch's SGD counts nothing. Its Adagrad counts on the CPU, which a graph leaves where it was; but the count serves
    a decay that no choice here has. Of a class made from one of these nobody knows.
    """
    counts_nothing = type(optimizer) in (optim.SGD, optim.Adagrad)
    return all(
        group["params"][0].is_cuda and group.get("capturable", counts_nothing) for group in optimizer.param_groups
    )


def put_lr_on_device_(optimizer: torch.optim.Optimizer) -> None:
    """Keep the learning rate of every group in a tensor beside its parameters, where a graph reads it.

    It has to be float32 on that very device: of any other tensor PyTorch takes the number, once and for all.
    """
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=group["params"][0].device)


def load_state_(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over a state that ``state_dict`` returned, but for the learning rates: those are set for every step anew.

    PyTorch would put the state's own in their place, and leave them on the device that they were loaded to.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def set_lr_(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the learning rate ``lr``."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
