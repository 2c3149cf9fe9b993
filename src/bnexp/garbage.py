"""Keeping Python's search for unreachable cycles away from what stays until the process ends."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Let the block import without such searches, and leave what it has imported out of those to come.

    PyTorch's modules are some hundred thousand objects. Looking through them again and again, while they are imported
    and when they are taken down at the end, took a third of the seconds of a process that imports them and ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
