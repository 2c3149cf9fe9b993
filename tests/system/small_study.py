"""A study of six tiny runs, or more, as a command line in a folder of its own; and what it left there."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import yaml

from tests.conftest import command

STUDY = {
    "question": "Does the norm matter?",
    "base": [
        "model.depth=3", "model.width=4", "init=he", "dataset.subset=0.2", "training.batch_size=16",
        "training.epochs=4", "training.eval_every=0.25",
    ],
    "factors": {"norm": ["none", "batch"]},
    "baseline": "norm=none",
    "seeds": 3,
    "target": {"value": 0.3},
    "claims": [
        {"text": "BN is better", "kind": "difference", "a": "norm=batch", "b": "norm=none", "metric": "test/accuracy",
         "low": 0.0},
    ],
}  # fmt: skip
WORDS = ("study", "small", "--config-dir", "mine")


def new_place(folder: Path) -> Path:
    """Write the study's definition below ``folder``, from which the command is to be called."""
    (folder / "mine" / "study").mkdir(parents=True)
    (folder / "mine" / "study" / "small.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start the study; what it says goes to a file, for which nobody has to wait until the last worker has ended."""
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(command(*WORDS, *words), cwd=folder, stdout=said, stderr=said)


def results(folder: Path) -> list[dict[str, str]]:
    """The rows of ``results.csv``, but for the seconds."""
    with (folder / "outputs/studies/small/results.csv").open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in csv.DictReader(file)]
