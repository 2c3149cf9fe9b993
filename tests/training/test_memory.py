"""Memory that one step frees is there for the next without the system's help."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from bnexp.training.memory import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
def step():
    blocks = [torch.ones(10_000_000) for _ in range(2)]
    del blocks
for _ in range(4):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(word: str) -> int:
    words = [sys.executable, "-c", FAULTS, word]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not the GNU C library")
def test_large_blocks_come_back_without_page_faults() -> None:
    assert page_faults("keep") < 100
    assert page_faults("leave") > 1000
