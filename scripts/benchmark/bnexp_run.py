"""bnexp's side of the comparisons: the configuration that is measured, and its training as one function."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ["BNEXP_PLUGINS"] = "photographs"

from bnexp.config.compose import compose_run
from bnexp.experiment import Experiment, prepare
from bnexp.run import run
from bnexp.training.progress import Silence

HERE = Path(__file__).parent
OUTPUTS = Path(tempfile.gettempdir()) / f"bnexp-benchmark-{os.getpid()}"
"""Where a run goes until it has been measured."""

WORDS = (
    "dataset=photographs",
    "dataset.test_fraction=0.1",
    "model=convnet",
    "init=he",
    "norm=batch",
    "augment=crop_flip",
    "training.batch_size=128",
    "training.epochs=1",
)
"""ConvNet 32–64–128 with He init and batch norm, crops and flips: an epoch of 40 steps of 128 images."""


def experiment(*words: str) -> Experiment:
    """Prepare the measured configuration, changed by ``words``."""
    return prepare(*compose_run([*WORDS, *words, f"output_dir={OUTPUTS}", "rerun=true"], [HERE / "configs"]))


def bnexp_run(*words: str) -> Callable[[], float]:
    """Return a function that trains a run from its start and returns images a second; evaluations do not count."""

    def measure() -> float:
        prepared = experiment(*words)
        result = run(prepared, Silence)
        shutil.rmtree(OUTPUTS)
        return float(result["steps"] * prepared.settings.batch_size / result["seconds"]["train"])

    return measure
