"""Keeping Python's search for unreachable cycles away from what stays until the process ends."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Let the block import without such searches, and leave what it has imported out of those to come.

    PyTorch's modules are half a million objects, and none of them is garbage before the end.
    """
    num_modules, was_enabled = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > num_modules:  # else there may be garbage, and nothing to keep it for
            gc.freeze()
            atexit.register(gc.unfreeze)  # some extension modules complain of what is left when they are taken down
        if was_enabled:
            gc.enable()
