"""Seconds of whole sweeps, from the command to its end: bnexp against Hydra's basic launcher with a plain script."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import arguments, by_turns, process, publish, ratio, spread

QUESTION = "Seconds of a sweep of the digits, norm × init × seeds (ConvNet 32–64–128)"
HERE = Path(__file__).parent


def main() -> None:
    asked = arguments(QUESTION, rounds=5, epochs=5, runs=16)
    grid = ["norm=none,batch", "init=default,he", f"seed=range({asked.runs // 4})"]
    with TemporaryDirectory() as folder:
        peer = [sys.executable, str(HERE / "peer_sweep.py"), "-m", *grid, f"epochs={asked.epochs}"]
        peer.append(f"hydra.sweep.dir={folder}")
        own = [sys.executable, "-m", "bnexp", "train", "-m", *grid, f"training.epochs={asked.epochs}", "rerun=true"]
        found = by_turns(
            {
                "bnexp": process([*own, f"output_dir={folder}"]),
                "Hydra basic + plain script": process([*peer, "loop=plain"], TMPDIR=folder),  # for its weights
                "Hydra basic + Lightning": process([*peer, "loop=lightning"], TMPDIR=folder),
            },
            asked.rounds,
            warm_up=False,  # every contender is a process that starts anew
        )
    rows = {f"{name}, {asked.runs} runs": spread(values) | {"unit": "s"} for name, values in found.items()}
    for peer_name in ("plain script", "Lightning"):
        times = ratio(found[f"Hydra basic + {peer_name}"], found["bnexp"])
        rows[f"{peer_name} / bnexp"] = times | {"unit": "×"}
    publish(QUESTION, rows, {"plain script / bnexp": 3.0, "Lightning / bnexp": 3.0})


if __name__ == "__main__":
    main()
