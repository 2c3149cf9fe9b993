"""A run's seal, written by hand from its documented form (docs/design.md) and not by bnexp's own code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

RECORDS = ("config.yaml", "result.json", "metrics.jsonl", "histograms.jsonl", "checkpoint.pt")


def seal_by_hand(folder: Path, fingerprint: str, seed: int) -> None:
    present = [name for name in RECORDS if (folder / name).exists()]
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in present}
    content = {"record": 3, "fingerprint": fingerprint, "seed": seed, "files": files}
    whole = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / "seal.json").write_text(json.dumps(content | {"seal": whole}))


def seal_again(folder: Path) -> None:
    """Seal what lies in the folder now, as its result has it."""
    result = json.loads((folder / "result.json").read_text())
    seal_by_hand(folder, result["fingerprint"], result["seed"])


def break_seal(folder: Path) -> Path:
    """Leave the folder of a finished run as that of one that has not ended."""
    (folder / "seal.json").unlink(missing_ok=True)
    (folder / "result.json").unlink(missing_ok=True)
    return folder


def end_by_hand(folder: Path, status: str = "done", fingerprint: str = "0123456789", seed: int = 0) -> None:
    """Write the least that a run which has ended leaves behind."""
    (folder / "config.yaml").write_text(json.dumps({"seed": seed}))
    (folder / "result.json").write_text(json.dumps({"status": status, "fingerprint": fingerprint, "seed": seed}))
    if status in ("done", "diverged"):
        seal_by_hand(folder, fingerprint, seed)
