"""Noise from a generator of its own, so that a network that draws some shifts nobody else's random numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zero each value with probability ``p`` in training, and scale the rest by 1 / (1 − p).

    Formula: y = x · b / (1 − p), b ~ Bernoulli(1 − p); so E[y] = x, the output in evaluation.
    Source: Srivastava et al. 2014; ``p`` is the probability to drop, as in PyTorch (the paper's p keeps).

    Attributes:
        generator: where the draws come from; None is PyTorch's default generator of the input's device.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of ``x``."""
        if not self.training or self.p == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * kept.div_(1 - self.p)

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"p={self.p}"


def draw_noise_from_(model: nn.Module, generator: torch.Generator) -> None:
    """Let all noise in ``model`` come from ``generator``.

    Every ``torch.nn.Dropout`` becomes a :class:`Dropout` here (PyTorch's own takes no generator), and every module with
    an attribute ``generator`` gets this one.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, Dropout(child.p).train(child.training))
    for module in model.modules():
        if hasattr(module, "generator"):
            module.generator = generator  # type: ignore[assignment]
