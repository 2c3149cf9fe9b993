"""What a run ran on: versions, device, threads, commit."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bnexp import __version__
from bnexp.training.device import device_name


def environment(device: torch.device) -> dict[str, Any]:
    """Return what the numbers of a run may depend on beyond its configuration."""
    return {
        "bnexp": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a plain string: checkpoints hold nothing else
        "numpy": version("numpy"),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "git_commit": git_commit(),
    }


@cache
def git_commit() -> str | None:
    """Return the commit of bnexp's own checkout, with ``+`` where files differ from it; None for an installed wheel."""
    folder = Path(__file__).resolve().parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=5)
    return done.stdout.strip()
