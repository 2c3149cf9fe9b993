"""What the signals cost: whole runs with signals=off, light and full, by turns."""

from __future__ import annotations

from collections.abc import Sequence
from tempfile import TemporaryDirectory
from typing import Any

from measure import arguments, by_turns, publish, spread

from bnexp.config.compose import compose_run
from bnexp.experiment import Experiment, prepare
from bnexp.run import run
from bnexp.training.progress import Silence

QUESTION = "Seconds of a measurement, and its size in trained examples (ConvNet 32–64–128 with batch norm, batch 64)"
SHARED = ("model=convnet", "init=he", "norm=batch", "rerun=true")
CASES = {
    "digits, 8 × 8": ("dataset=digits", "training.epochs=4"),
    "MNIST, 28 × 28": ("dataset=mnist", "dataset.subset=0.05", "training.epochs=1"),
}
"""MNIST needs BNEXP_DATA to name the folder of the data; a twentieth of it is trained on, since only ratios count."""

LEVELS = ("off", "light", "full")


class WholeRun:
    """Trains a run and returns its seconds, with evaluations and record; keeps those of the training alone."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.training: list[float] = []

    def __call__(self) -> float:
        seconds = run(experiment(self.words), Silence)["seconds"]
        self.training.append(float(seconds["train"]))
        return float(seconds["total"])


def experiment(words: Sequence[str]) -> Experiment:
    return prepare(*compose_run([*SHARED, *words]))


def main() -> None:
    asked = arguments(QUESTION, rounds=5)
    with TemporaryDirectory() as folder:
        publish(QUESTION, measured(asked.rounds, f"output_dir={folder}"))


def measured(rounds: int, place: str) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for case, words in CASES.items():
        runs = {level: WholeRun([*words, f"signals={level}", place]) for level in LEVELS}
        found = by_turns(runs, rounds)
        rows |= {f"{case}: {level}": spread(found[level]) | {"unit": "s a run"} for level in LEVELS}
        epochs = int(words[-1].partition("=")[2])  # with one evaluation each
        trained = len(experiment([*words, place]).dataset.train) * epochs
        training = runs["off"].training[1:]  # without the round that warms up
        rows[f"{case}: training alone"] = spread(training) | {"unit": "s a run"}
        for level in LEVELS[1:]:
            extra = [(one - off) / epochs for one, off in zip(found[level], found["off"], strict=True)]
            examples = [more * trained / seconds for more, seconds in zip(extra, training, strict=True)]
            rows[f"{case}: a measurement, {level}"] = spread(extra) | {"unit": "s"}
            rows[f"{case}: a measurement, {level}, beside training"] = spread(examples) | {"unit": "trained examples"}
    return rows


if __name__ == "__main__":
    main()
