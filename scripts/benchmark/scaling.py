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
    asked = arguments(QUESTION, rounds=3)
    contenders: dict[str, Callable[[], float]] = {}
    for subset in (0.25, 0.5, 1.0):
        images = round(6400 * 0.9 * 0.9 * subset)
        contenders[f"an epoch of {images} images"] = partial(_seconds, images, f"dataset.subset={subset}")
    for width in (8, 16, 32, 64):
        contenders[f"1,000 images at width {width}"] = partial(
            _seconds, 1000, f"model.width={width}", "dataset.subset=0.25"
        )
    found = by_turns(contenders, asked.rounds)
    with TemporaryDirectory() as folder:
        found |= by_turns({f"a sweep of {runs} runs": sweep(runs, folder) for runs in (4, 16, 32)}, asked.rounds)
    publish(QUESTION, {name: spread(values) | {"unit": "s"} for name, values in found.items()})


def _seconds(images: int, *words: str) -> float:
    return images / bnexp_run(*words)()


if __name__ == "__main__":
    main()
