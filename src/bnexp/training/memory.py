"""Memory of CPU runs that stays with the process between steps."""

from __future__ import annotations

import ctypes
import os
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Keys of ``mallopt`` in the GNU C library's ``malloc.h``."""

LARGEST = 2**31 - 1


@cache
def keep_memory() -> None:
    """Let the next step have the memory that the last one frees, and in large pages.

    The C library gives large blocks back to the system and gets them again page by page, each filled with zeros first:
    a tenth of a step of a ConvNet on 32 × 32 images. Other C libraries are left as they are. Call it before PyTorch
    has made its first tensor, which is when it looks at the variable.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, LARGEST)
        mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(M_MMAP_THRESHOLD, 2**25)  # older versions take no more
