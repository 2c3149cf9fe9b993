"""Run folders as training leaves them, made from numbers alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.sealing import seal_by_hand

from bnexp.analysis.runs import Run, read_run
from bnexp.training.record import finite

MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run folder with this validation curve, 10 steps and 1 epoch an evaluation, and reads it back."""

    def make(
        seed: int,
        curve: Sequence[float],
        *,
        arm: str = "arm",
        test: float | None = None,
        status: str = "done",
        seconds_per_step: float = 0.01,
        val_loss: float | None = 1.0,
    ) -> Run:
        folder = tmp_path / "runs" / arm / f"0123456789-s{seed}"
        folder.mkdir(parents=True)
        config = {"seed": seed, "choices": {"norm": "none"}, "norm": {"_target_": "bnexp.nn.norms.none"}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        rows = [
            {
                "step": 10 * (index + 1),
                "epoch": index + 1.0,
                "seconds": 10 * (index + 1) * seconds_per_step,
                "train/loss": 2.0 - value,
                "train/accuracy": value + 0.05,
                "val/loss": 2.0 - value,
                "val/accuracy": value,
                "lr": 0.1,
            }
            for index, value in enumerate(curve)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(finite(row)) + "\n" for row in rows))
        steps = 10 * len(curve)
        result: dict[str, Any] = {
            "status": status,
            "fingerprint": "0123456789",
            "seed": seed,
            "metrics": {
                "initial/loss": 2.3,
                "val/loss": val_loss,
                "val/accuracy": curve[-1],
                "test/loss": 1.0,
                "test/accuracy": curve[-1] if test is None else test,
                "best/epoch": 1.0,
                "best/val/accuracy": max(curve),
                "best/test/accuracy": max(curve),
            },
            "steps": steps,
            "epochs": float(len(curve)),
            "seconds": {"train": steps * seconds_per_step, "total": 2 * steps * seconds_per_step},
        }
        (folder / "result.json").write_text(json.dumps(result))
        seal_by_hand(folder, "0123456789", seed)
        return read_run(folder)

    return make
