"""One seed, one independent stream of random numbers per purpose.

Two runs with the same seed see the same split, the same batches and the same augmentation whatever their init or norm
is ("matched randomness"), because no purpose draws from another's stream.
"""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, purpose: str, *indices: int) -> int:
    """Hash ``(seed, purpose, indices)`` to 63 bits with SHA-256; other arguments give an unrelated number."""
    text = "/".join([str(seed), purpose, *map(str, indices)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, *indices: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator for ``purpose``: ``split``, ``labels``, ``init``, ``order``, ``augment``, ``noise``,
    ``noise/input`` (and its kin), or the name of a dataset that is computed.

    ``indices`` tell repetitions apart (the epoch, say), so that a stream can be entered anywhere without having been
    followed from its start; a resumed run needs no saved state for it.
    """
    return torch.Generator(device=device).manual_seed(derive_seed(seed, purpose, *indices))
