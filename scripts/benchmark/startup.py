"""Seconds from the command to the first training step, against importing PyTorch and reading the data."""

from __future__ import annotations

import sys
from tempfile import TemporaryDirectory

from measure import arguments, by_turns, process, publish, ratio, spread

QUESTION = "Seconds until the first training step is done (digits)"

FLOOR = "import torch; from bnexp.data.bundled import digits; digits()"

FIRST_STEP = """
import os, sys
from bnexp.cli.main import main
from bnexp.training.step import Step
step = Step.__call__
def first(self, *batch):
    step(self, *batch)
    os._exit(0)
Step.__call__ = first
sys.exit(main(sys.argv[1:]) or 1)
"""

BARE = """
import torch
from torch import nn
from bnexp.data.bundled import digits
model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 36, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
examples = digits().examples
nn.functional.cross_entropy(model(examples.inputs[:64].float()), examples.labels[:64]).backward()
optimizer.step()
"""


def main() -> None:
    asked = arguments(QUESTION, rounds=5)
    with TemporaryDirectory() as folder:
        words = ["train", "model=convnet", "init=he", "norm=batch", f"output_dir={folder}", "rerun=true"]
        found = by_turns(
            {
                "import torch, read the digits": process([sys.executable, "-c", FLOOR]),
                "a bare script's first step": process([sys.executable, "-c", BARE]),
                "bnexp train's first step": process([sys.executable, "-c", FIRST_STEP, *words]),
                "bnexp train --help": process([sys.executable, "-m", "bnexp", "train", "--help"]),
            },
            asked.rounds,
            warm_up=False,  # every contender is a process that starts anew
        )
    rows = {name: spread(values) | {"unit": "s"} for name, values in found.items()}
    rows["floor / bnexp train"] = ratio(found["import torch, read the digits"], found["bnexp train's first step"])
    publish(QUESTION, rows, {"floor / bnexp train": 1 / 1.3})


if __name__ == "__main__":
    main()
