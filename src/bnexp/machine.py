"""What this machine, or the container that the process runs in, can hold."""

from __future__ import annotations

import os
from pathlib import Path


def machine_memory() -> float:
    """Return the bytes of memory that this process can have: the machine's, or its container's (Linux, cgroup v2)."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    container = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    return machine if container == "max" else min(machine, int(container))
