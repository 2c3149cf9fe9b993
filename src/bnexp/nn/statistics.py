"""Which statistics batch norm uses at test time: running averages, those of each batch, or those of the population."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BUFFERS = ("running_mean", "running_var")
# What torch.nn.BatchNorm takes for "normalize by the batch, record nothing"; unlike a mode, it survives model.eval().
DETACHED = {"running_mean": None, "running_var": None, "track_running_stats": False}


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Let every batch-statistics norm of ``model`` use each batch's own statistics, in evaluation mode too.

    Statistics are over the whole batch (ghost batches are a matter of training). Nothing is recorded meanwhile; on
    leaving, the norms have the running statistics that they had. A frozen norm keeps to them throughout: what has an
    attribute ``frozen`` that is true (:func:`bnexp.models.finetune.finetune_` sets it).
    """
    saved = [(norm, {name: getattr(norm, name) for name in DETACHED if hasattr(norm, name)}) for norm in _norms(model)]
    try:
        for norm, attributes in saved:
            for name in attributes:
                setattr(norm, name, DETACHED[name])
        yield
    finally:
        for norm, attributes in saved:
            for name, value in attributes.items():
                setattr(norm, name, value)


@torch.no_grad()
def population_statistics_(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of ``model`` by those of all values in ``batches``: "precise batch norm".

    Formula: mean = Σ_b n_b μ_b / n, var = Σ_b n_b (σ_b² + (μ_b − mean)²) / (n − 1), n_b values of a channel in batch b
    Source: Wu & Johnson 2021, section 3; the variance is unbiased, as PyTorch stores it.

    One pass: each norm sees inputs that the norms before it have normalized with the batch's own statistics, as in
    training, while dropout and noise are off, as at test time. Give it large batches. Modes, the count of batches,
    frozen norms and norms that no batch reaches stay as they are.

    Args:
        model: any network; its other parameters and buffers do not change.
        batches: inputs of the training split, as the model takes them.
    """
    moments: dict[nn.Module, _Moments] = {}

    def gather(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        moments.setdefault(norm, _Moments()).add(inputs[0])

    modes = [(module, module.training) for module in model.modules()]
    hooks = [norm.register_forward_pre_hook(gather) for norm in _norms(model)]
    model.eval()
    try:
        with batch_statistics(model):
            for inputs in batches:
                model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    for norm, found in moments.items():
        for name, value in zip(BUFFERS, (found.mean, found.squares / (found.count - 1)), strict=True):
            if hasattr(norm, name):
                getattr(norm, name).copy_(value)


def _norms(model: nn.Module) -> list[nn.Module]:
    return [
        module
        for module in model.modules()
        if isinstance(getattr(module, "running_mean", None), Tensor) and not getattr(module, "frozen", False)
    ]


@dataclass
class _Moments:
    """Number, mean and summed squared deviations of a channel's values, of all batches so far (Chan et al. 1979)."""

    count: int = 0
    mean: Tensor | float = 0.0
    squares: Tensor | float = 0.0

    def add(self, x: Tensor) -> None:
        """Count in ``x`` (N, C, …)."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        var, mean = torch.var_mean(x, (0, *range(2, x.ndim)), correction=0)
        new = x.numel() // x.shape[1]
        total = self.count + new
        shift = mean - self.mean
        self.mean = self.mean + shift * (new / total)
        self.squares = self.squares + var * new + shift.square() * (self.count * new / total)
        self.count = total
