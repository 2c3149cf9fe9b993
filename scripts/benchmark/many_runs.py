"""What a run costs beyond its training, and what it leaves behind in memory, over many runs of one process."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import arguments, publish, spread

from bnexp.config.compose import compose_seeds
from bnexp.experiment import prepare
from bnexp.run import run
from bnexp.training.progress import Silence

QUESTION = "Seconds of a run beyond its training (digits, one epoch), and memory that it leaves in its process"
WORDS = ["model.width=8", "training.epochs=1", "training.threads=1", "training.device=cpu"]
SETTLING = 50
"""Runs before the memory is looked at: caches fill."""


def main() -> None:
    asked = arguments(QUESTION, runs=1000)
    seconds, memory = [], []
    with TemporaryDirectory() as folder:
        for composed in compose_seeds([*WORDS, f"output_dir={folder}"], range(asked.runs)):
            started = time.perf_counter()
            result = run(prepare(*composed), Silence)
            seconds.append(time.perf_counter() - started - result["seconds"]["train"])
            memory.append(_resident_kilobytes())
            shutil.rmtree(folder, ignore_errors=True)
    settled = np.array(memory[SETTLING:])
    slope = float(np.polyfit(np.arange(len(settled)), settled, 1)[0])
    parts = [float(np.polyfit(np.arange(len(part)), part, 1)[0]) for part in np.array_split(settled, 5)]
    rows = {
        "a run beyond its training": spread(seconds[1:]) | {"unit": "s"},  # the first one reads the data
        "memory left by a run": {
            "median": slope,
            "low": min(parts),
            "high": max(parts),
            "n": len(settled),
            "unit": "KB",
        },
    }
    publish(QUESTION, rows)


def _resident_kilobytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1024


if __name__ == "__main__":
    main()
