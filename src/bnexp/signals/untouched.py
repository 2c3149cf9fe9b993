"""Measuring a network without a trace: what a measurement changes is put back, bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bnexp.global_generators import globally_seeded


@contextmanager
def untouched(model: nn.Module, generators: Iterable[torch.Generator] = ()) -> Iterator[None]:
    """Let ``model`` be run in training mode within; then restore its buffers and modes, and the generators.

    Within, all noise starts from the same state whenever and wherever a network is measured, so that the same batch
    gives the same signals. Buffers keep their storage. Parameters and ``.grad`` are not looked after: a measure that
    moves parameters puts them back itself, and asks :func:`torch.autograd.grad`, which leaves ``.grad`` alone.

    Args:
        model: any network.
        generators: what noise is drawn from that is not a module's own (:class:`bnexp.nn.noise.GaussianNoise` hangs
            some on a network); the attributes ``generator`` of modules and the process's own generators are included.
    """
    states = [(draws, draws.get_state()) for draws in noise_generators(model, generators)]
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        for draws, _ in states:
            draws.manual_seed(0)
        model.train()
        with globally_seeded(0):
            yield
    finally:
        put_back_(buffers)
        for module, training in modes:
            module.training = training
        for draws, state in states:
            draws.set_state(state)


@torch.no_grad()
def put_back_(values: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Write the second tensor of each pair into the first, in place."""
    for tensor, value in values:
        tensor.copy_(value)


def noise_generators(model: nn.Module, others: Iterable[torch.Generator] = ()) -> list[torch.Generator]:
    """Return what ``model`` may draw from, each once: its modules' generators, PyTorch's own, and ``others``."""
    device = next(model.parameters()).device
    found = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()  # before it there are none
        found.append(torch.cuda.default_generators[device.index or 0])
    elif device.type == "mps":
        found.append(torch.mps._get_default_mps_generator())
    own = (getattr(module, "generator", None) for module in model.modules())
    found += [draws for draws in own if isinstance(draws, torch.Generator)]
    return list({id(draws): draws for draws in (*found, *others)}.values())
