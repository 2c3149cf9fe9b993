"""Small networks whose signals can be worked out by hand, and wide ones for which theory holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from bnexp.config.compose import compose_run
from bnexp.experiment import prepare
from bnexp.nn.activation import marked
from bnexp.nn.losses import cross_entropy
from bnexp.signals.inspection import Inspection, inspect

Fill = Callable[[nn.Linear], object]


def mlp(*sizes: int, function: Callable[[], nn.Module] = nn.ReLU, norm: bool = False) -> nn.Sequential:
    """Linear layers of these sizes, with the function (and batch norm before it) between them."""
    make = marked(function)
    modules: list[nn.Module] = []
    for num_inputs, num_outputs in pairwise(sizes[:-1]):
        modules += [nn.Linear(num_inputs, num_outputs), *([nn.BatchNorm1d(num_outputs)] if norm else []), make()]
    return nn.Sequential(*modules, nn.Linear(*sizes[-2:]))


def filled(net: nn.Sequential, variance: float, seed: int = 0) -> nn.Sequential:
    """``net`` with normal weights of ``variance`` / fan_in, and biases 0."""
    generator = torch.Generator().manual_seed(seed)
    for module in net:
        if isinstance(module, nn.Linear):
            with torch.no_grad():
                module.weight.normal_(0, (variance / module.in_features) ** 0.5, generator=generator)
                module.bias.zero_()
    return net


def deep(variance: float, depth: int = 10, width: int = 512, **kwargs: object) -> nn.Sequential:
    """A wide network of ``depth`` hidden layers with weights of ``variance`` / fan_in."""
    return filled(mlp(*[width] * (depth + 1), 10, **kwargs), variance)  # type: ignore[arg-type]


def batch(num_features: int, num_examples: int = 256, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Standard normal inputs and random labels of 10 classes."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(num_examples, num_features, generator=generator)
    return inputs, torch.randint(10, (num_examples,), generator=generator)


def inspected(net: nn.Module, num_features: int = 512, *, is_normalized: bool = False) -> Inspection:
    """What is measured of ``net`` on a :func:`batch`, its weights being nobody's init."""
    inputs, labels = batch(num_features)
    return inspect(net, inputs, labels, cross_entropy, init=None, activation=nn.ReLU(), is_normalized=is_normalized)


def network(*words: str) -> nn.Module:
    """A network as training starts with it, for the 1×8×8 digits."""
    return prepare(*compose_run(["training.device=cpu", "dataset.subset=0.2", *words])).model
