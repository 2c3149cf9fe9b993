"""Same question, same folder: the name of a run, made from all that can change its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from bnexp.config.check import Config, numeric_part
from bnexp.config.code import own_digest, plugin_digests
from bnexp.training.record import RECORD_VERSION, run_name

ARM_GROUPS = ("dataset", "model", "init", "norm", "optimizer")


def fingerprint(config: Config, digests: Mapping[str, str], num_train: int) -> str:
    """Hash all that can change the numbers of a run but its seed, to 64 hexadecimal digits (SHA-256).

    Args:
        config: the resolved configuration; its numeric part counts.
        digests: hashes of what was read: the user's data, the weights.
        num_train: the examples of the training split: a batch of so many is ``full``.
    """
    numeric = numeric_part(config)
    if numeric["training"]["batch_size"] == num_train:
        numeric["training"]["batch_size"] = "full"
    content = {
        "config": numeric,
        "files": dict(digests),
        "code": own_digest(),
        "plugins": plugin_digests(config),
        "record": RECORD_VERSION,
    }
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def run_path(config: Config, choices: Mapping[str, str], mark: str) -> Path:
    """Return ``<output_dir>/<dataset>-<model>-<init>-<norm>-<optimizer>/<name>`` of the run of a fingerprint."""
    arm = "-".join(choices[group] for group in ARM_GROUPS)
    return Path(config["output_dir"]) / arm / run_name(mark, config["seed"])
