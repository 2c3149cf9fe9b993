"""Same question, same folder: the name of a run, made from all that can change its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from bnexp.config.check import Config, numeric_part

RECORD_VERSION = 2
"""Version of the record's format and of the code's numbers; raised when either changes, so that no old result is taken
for the answer to a new question."""

ARM_GROUPS = ("dataset", "model", "init", "norm", "optimizer")


def fingerprint(config: Config, digest: str) -> str:
    """Hash the numeric part of a configuration and the ``digest`` of the user's data, to 10 hex digits."""
    content = {"config": numeric_part(config), "data": digest, "record": RECORD_VERSION}
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def run_path(config: Config, choices: Mapping[str, str], digest: str) -> Path:
    """Return ``<output_dir>/<dataset>-<model>-<init>-<norm>-<optimizer>/<fingerprint>-s<seed>``."""
    arm = "-".join(choices[group] for group in ARM_GROUPS)
    return Path(config["output_dir"]) / arm / f"{fingerprint(config, digest)}-s{config['seed']}"
