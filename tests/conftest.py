from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

CommandLine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests run on all cores at once, one thread each."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_counts() -> None:
    """A shell starts what runs in the background deaf to Ctrl-C, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _denormals() -> None:
    """A run flushes denormal numbers for its whole process, and Hypothesis' floats cannot do without them."""
    torch.set_flush_denormal(False)


@pytest.fixture
def bnexp(tmp_path: Path) -> CommandLine:
    """The real command line, in a process of its own, in an empty folder."""

    def call(*words: str, timeout: float = 120, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words),
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


def command(*words: str) -> Sequence[str]:
    return [sys.executable, "-m", "bnexp", *words]


@pytest.fixture
def data_root() -> Path:
    """The real data sets; a test that needs them is skipped where they are not."""
    folder = os.environ.get("BNEXP_DATA")
    if not folder:
        pytest.skip("BNEXP_DATA names no folder with the real data sets")
    return Path(folder)
