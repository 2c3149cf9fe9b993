"""How far are batch norm's running statistics from what it sees, in training and in evaluation?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

Moments = tuple[Tensor, Tensor]
"""Mean and unbiased variance of each channel, (C,) each."""


@dataclass(frozen=True)
class Discrepancy:
    """One norm against its running statistics; variances include the norm's ε, as in what it divides by.

    Attributes:
        mean_shift: root mean square over channels of (μ_batch − μ_running) / σ_running.
        log_variance_ratio: mean over channels of log(σ²_batch / σ²_running).
        eval_variance_ratio: mean over channels of Var(input in evaluation) / σ²_running. Dropout before a norm moves
            it away from 1: the variance shift.
    """

    mean_shift: float
    log_variance_ratio: float
    eval_variance_ratio: float


@torch.no_grad()
def batch_discrepancy(model: nn.Module, batches: Sequence[Tensor]) -> dict[str, Discrepancy]:
    """Compare the running statistics of each norm of ``model`` with those of ``batches``.

    Each batch goes through the network twice. In training mode, noise and all, it gives the first two numbers, which
    are means over the batches; their size should be that of training, as the statistics of a small batch scatter more.
    In evaluation mode, without noise, they give the third: the variance over all batches together. Variances are
    unbiased, as PyTorch stores them; ghost batches count as one. The mode and the buffers do not stay as they were: use
    it within :func:`bnexp.signals.untouched.untouched`.

    Formula: as in :class:`Discrepancy`
    Source: Ioffe & Szegedy 2015, section 3.1 (what is used in training and in inference); Li et al. 2019, section 3.2
        (the variance shift).

    Args:
        model: any network.
        batches: inputs of mini-batches, as the model takes them.

    Returns:
        By the norm's name, in the order of registration. Only norms with a running variance that the network calls.
    """
    norms = {name: module for name, module in model.named_modules() if _has_variance(module)}
    known = {name: (norm.running_mean.clone(), norm.running_var + norm.eps) for name, norm in norms.items()}
    with _inputs(norms) as seen:
        in_training = [_moments(seen, model.train(), inputs) for inputs in batches]
        model.eval()
        for inputs in batches:
            model(inputs)
        at_test = {name: _mean_and_variance(torch.cat(parts)) for name, parts in seen.items()}
    found = {}
    for name, (_, test_variance) in at_test.items():
        mean, variance = known[name]
        eps = norms[name].eps
        shifts = [((batch[name][0] - mean).square() / variance).mean().sqrt() for batch in in_training]
        logs = [((batch[name][1] + eps) / variance).log().mean() for batch in in_training]
        ratio = ((test_variance + eps) / variance).mean()
        numbers = torch.stack([torch.stack(shifts).mean(), torch.stack(logs).mean(), ratio])
        found[name] = Discrepancy(*numbers.tolist())
    return found


def _has_variance(module: nn.Module) -> bool:
    return isinstance(getattr(module, "running_var", None), Tensor)


@contextmanager
def _inputs(norms: dict[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the inputs of each norm, by name and call."""
    seen: dict[str, list[Tensor]] = {}

    def note(name: str, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        seen.setdefault(name, []).append(args[0])

    with ExitStack() as stack:
        for name, norm in norms.items():
            stack.callback(norm.register_forward_pre_hook(partial(note, name)).remove)
        yield seen


def _moments(seen: dict[str, list[Tensor]], model: nn.Module, inputs: Tensor) -> dict[str, Moments]:
    model(inputs)
    found = {name: _mean_and_variance(torch.cat(parts)) for name, parts in seen.items()}
    seen.clear()
    return found


def _mean_and_variance(x: Tensor) -> Moments:
    variance, mean = torch.var_mean(x, (0, *range(2, x.ndim)), correction=1)
    return mean, variance
