"""How the seconds of a run grow with the data and the width, and those of a sweep with the number of runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory

from bnexp_run import bnexp_run
from measure import arguments, by_turns, process, publish, spread

QUESTION = "How time grows (ConvNet with three convolutions)"


def sweep(runs: int, folder: str) -> Callable[[], float]:
    """Return a function that measures a sweep of short runs on the digits, in seconds."""
    words = ["train", "-m", f"seed=range({runs})", "training.epochs=1", "rerun=true", f"output_dir={folder}"]
    return process([sys.executable, "-m", "bnexp", *words])


def main() -> None:
    asked = arguments(QUESTION, rounds=2)
    contenders: dict[str, Callable[[], float]] = {}
    for subset in (0.25, 0.5, 1.0):
        contenders[f"an epoch of {_images(subset)} images"] = partial(_seconds, subset)
    for width in (8, 16, 64):  # the epochs above have 32
        contenders[f"an epoch of {_images(0.25)} images at width {width}"] = partial(
            _seconds, 0.25, f"model.width={width}"
        )
    found = by_turns(contenders, asked.rounds)
    with TemporaryDirectory() as folder:
        sweeps = {f"a sweep of {runs} runs": sweep(runs, folder) for runs in (4, 16, 32)}
        found |= by_turns(sweeps, asked.rounds, warm_up=False)  # each is a process that starts anew
    publish(QUESTION, {name: spread(values) | {"unit": "s"} for name, values in found.items()})


def _images(subset: float) -> int:
    return round(6400 * 0.9 * 0.9 * subset)


def _seconds(subset: float, *words: str) -> float:
    return _images(subset) / bnexp_run(f"dataset.subset={subset}", *words)()


if __name__ == "__main__":
    main()
