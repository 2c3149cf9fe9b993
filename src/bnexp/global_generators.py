"""The generators that a whole process shares: PyTorch's on the CPU, NumPy's and Python's.

bnexp itself draws from generators of its own (:mod:`bnexp.seeding`). These are for code that takes none: the modules of
PyTorch and of plugins.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_global(seed: int) -> None:
    """Seed all three with the same number of at most 64 bits. GPUs' generators are left alone."""
    torch.default_generator.manual_seed(seed)
    np.random.seed([seed & 0xFFFF_FFFF, seed >> 32])  # noqa: NPY002
    random.seed(seed)


def global_state() -> dict[str, Any]:
    """Return the state of all three, as a tensor, lists and numbers: it loads with ``weights_only=True``."""
    name, words, *numbers = np.random.get_state(legacy=True)  # noqa: NPY002
    version, own_words, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [str(name), [int(word) for word in words], *numbers],
        "python": [version, list(own_words), gauss],
    }


def set_global_state(state: dict[str, Any]) -> None:
    """Bring all three to a state that :func:`global_state` returned."""
    torch.set_rng_state(state["torch"])
    name, words, *numbers = state["numpy"]
    np.random.set_state((name, np.array(words, dtype=np.uint32), *numbers))  # noqa: NPY002
    version, own_words, gauss = state["python"]
    random.setstate((version, tuple(own_words), gauss))


@contextmanager
def globally_seeded(seed: int) -> Iterator[None]:
    """Seed all three for a block; behind it they are where they were before."""
    before = global_state()
    seed_global(seed)
    try:
        yield
    finally:
        set_global_state(before)
