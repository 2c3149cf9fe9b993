"""Run folders with known numbers, written as text and not by bnexp's own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from tests.sealing import seal_by_hand

CONFIG: dict[str, Any] = {
    "seed": 0,
    "output_dir": "outputs",
    "rerun": False,
    "dataset": {"_target_": "bnexp.data.bundled.digits", "subset": 1.0},
    "model": {"_target_": "bnexp.models.convnet.ConvNet", "_partial_": True, "depth": 3},
    "init": {"_target_": "bnexp.nn.initializers.he_normal_", "_partial_": True},
    "norm": {"_target_": "bnexp.nn.norms.none"},
    "optimizer": {"_target_": "bnexp.optim.optimizers.momentum", "_partial_": True, "lr": 0.01},
    "training": {"_target_": "bnexp.training.settings.Settings", "epochs": 2, "device": "auto"},
    "choices": {
        "training": "default",
        "optimizer": "momentum",
        "norm": "none",
        "init": "default",
        "model": "convnet",
        "dataset": "digits",
    },
}


def write_run(
    root: Path,
    fingerprint: str = "0123456789",
    seed: int = 0,
    *,
    accuracy: float | None = 0.9,
    loss: float | None = 0.3,
    status: str = "done",
    rows: list[dict[str, Any]] | None = None,
    environment: dict[str, Any] | None = None,
    examples: dict[str, int] | None = None,
    **values: Any,
) -> Path:
    """Write a run; ``values`` are choices (``norm="batch"``) and settings (``norm__eps=1e-5``)."""
    folder = root / "arm" / f"{fingerprint}-s{seed}"
    folder.mkdir(parents=True)
    config = json.loads(json.dumps(CONFIG)) | {"seed": seed}
    for name, value in values.items():
        group, dot, key = name.partition("__")
        if dot:
            config[group][key] = value
        else:
            config["choices"][group] = value
    rows = curve_rows([None if accuracy is None else accuracy / 2, accuracy]) if rows is None else rows
    result = {
        "status": status,
        "fingerprint": fingerprint,
        "seed": seed,
        "examples": examples or {},
        "metrics": {"test/accuracy": accuracy, "test/loss": loss, "best/epoch": 2.0},
        "epochs": rows[-1]["epoch"],
        "steps": rows[-1]["step"],
        "seconds": {"train": 1.5, "total": 2.0},
        "environment": environment or {"torch": "2.15.0"},
        "notes": [],
    }
    if status in ("failed", "interrupted"):
        result |= {"metrics": {}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    if status in ("done", "diverged"):
        seal_by_hand(folder, fingerprint, seed)
    return folder


def curve_rows(accuracies: list[float | None], losses: list[float | None] | None = None) -> list[dict[str, Any]]:
    """Evaluations after epochs 1, 2, …, ten steps each."""
    losses = [0.5] * len(accuracies) if losses is None else losses
    pairs = enumerate(zip(accuracies, losses, strict=True), 1)
    return [
        {"step": 10 * epoch, "epoch": float(epoch), "val/accuracy": accuracy, "train/loss": loss}
        for epoch, (accuracy, loss) in pairs
    ]
