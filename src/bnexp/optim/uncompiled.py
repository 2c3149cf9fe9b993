"""PyTorch's optimizers without its compiler, which takes nearly as long to import as the rest of PyTorch.

Their methods import it only to tell it to leave them alone. bnexp compiles no optimizer, so the methods are taken as
they are written, from beneath those decorators.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap

import torch
from torch.optim import Optimizer

DECORATED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def leave_compiler_out() -> None:
    """Take the decorator off the methods that all optimizers inherit."""
    for name in DECORATED:
        setattr(Optimizer, name, unwrap(getattr(Optimizer, name)))


def bare_step(optimizer: Optimizer) -> Callable[[], object]:
    """Return ``optimizer.step`` without decorators, hooks and profiling; an optimizer from elsewhere keeps its own."""
    step = type(optimizer).step
    if not step.__module__.startswith(("torch.optim.", "bnexp.optim.")):
        return optimizer.step
    own = unwrap(step)

    @torch.no_grad()
    def take() -> None:
        own(optimizer)

    return take
