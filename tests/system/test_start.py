"""What a run imports before its first step: PyTorch, and little beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("torch._dynamo", "torch._inductor", "torchvision", "tensorboard", "PIL"),
    *("sympy", "pandas", "scipy", "sklearn", "joblib", "matplotlib", "rich"),
}

AT_THE_FIRST_STEP = """
import sys
from bnexp.cli.main import main
from bnexp.training.step import Step
step = Step.__call__
def first(self, *batch):
    step(self, *batch)
    sys.stdout.write(" ".join(sys.modules))
    sys.stdout.flush()
    import os
    os._exit(0)
Step.__call__ = first
main(sys.argv[1:])
"""


def imported(code: str, *words: str, cwd: Path) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "words",
    [[], ["norm=group", "init=orthogonal", "optimizer=adam", "augment=crop_flip", "activation=gelu"]],
    ids=["defaults", "others"],
)
def test_a_run_reaches_its_first_step_without_the_compiler_and_other_heavy_packages(
    words: list[str], tmp_path: Path
) -> None:
    found = imported(AT_THE_FIRST_STEP, "train", *words, cwd=tmp_path)
    assert "torch" in found
    assert found & HEAVY == set()


def test_help_needs_none_of_them(tmp_path: Path) -> None:
    code = "import sys\nfrom bnexp.cli.main import main\nmain(['train', '--help'])\nprint(' '.join(sys.modules))"
    assert imported(code, cwd=tmp_path) & {*HEAVY, "torch", "hydra", "numpy"} == set()
