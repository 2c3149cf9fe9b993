"""Images a second of K runs in lockstep, all of them together, against one run; on a GPU, graph against eager too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import torch
from bnexp_run import experiment
from measure import apart, arguments, by_turns, publish, ratio, spread

from bnexp.run import make_training
from bnexp.training.graph import WARM_UP, GraphedSteps
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder
from bnexp.training.stretch import Take, take_step_by_step
from bnexp.training.timeout import TimeLimit

QUESTION = "Images a second of K replicas, all together (ConvNet 32–64–128, batch 128, 32 × 32 images, crop + flip)"
REPLICAS = (1, 2, 4, 8, 10, 16, 32)


def replicas(number: int, steps: int, *words: str) -> Callable[[], float]:
    """Return a function that takes so many steps of each of ``number`` replicas, and returns their images a second.

    They are the steps of whole runs, augmentation, schedule and counts included; evaluations and records are not.
    """
    prepared = [experiment(f"seed={seed}", *words) for seed in range(number)]
    batch_size = prepared[0].settings.num_in_batch(len(prepared[0].dataset.train))
    trainings = [make_training(one, RunFolder(one.path), Silence(one.name), TimeLimit(None)) for one in prepared]
    on_gpu = torch.cuda.is_available() and prepared[0].settings.graph != "off"
    take: Take = GraphedSteps(required=True) if on_gpu else take_step_by_step
    at_once = number if on_gpu else 1
    bounds = _bounds(steps)

    def measure() -> float:
        start, end = next(bounds)
        stretches = [training.stretch(start, end) for training in trainings]
        groups = [stretches[first : first + at_once] for first in range(0, number, at_once)]
        seconds = sum(take(group).seconds * len(group) for group in groups)
        for training in trainings:
            training.step.fetch()
        return number * (end - start) * batch_size / seconds

    for training in trainings:
        training.parts.model.train()
    return measure


def _bounds(steps: int) -> Iterator[tuple[int, int]]:
    """Stretches of steps one after another; the first one is for the warm-up and the capture."""
    yield 0, WARM_UP + 1
    for turn in count():
        yield WARM_UP + 1 + turn * steps, WARM_UP + 1 + (turn + 1) * steps


def main() -> None:
    on_gpu = torch.cuda.is_available()
    asked = arguments(QUESTION, rounds=5, steps=40 if on_gpu else 10, most=32 if on_gpu else 4)
    numbers = [number for number in REPLICAS if number <= asked.most]
    contenders: dict[str, Callable[[], float]] = {}
    for dtype in ("fp32", "tf32", "bf16") if on_gpu else ("fp32",):
        words = [f"training.precision={dtype}"]
        if on_gpu:
            eager = apart(replicas, 1, asked.steps, *words, "training.graph=off")
            contenders[f"eager, one run, {dtype}"] = eager
        for number in numbers:
            contenders[f"K = {number}, {dtype}"] = apart(replicas, number, asked.steps, *words)
    found = by_turns(contenders, asked.rounds)
    rows = {name: spread(values) | {"unit": "images/s"} for name, values in found.items()}
    bars: dict[str, float] = {}
    for name, values in found.items():
        number, _, dtype = name.rpartition(", ")
        base = f"eager, one run, {dtype}" if on_gpu else "K = 1, fp32"
        if name != base:
            rows[f"{name} / {base}"] = ratio(values, found[base]) | {"unit": "×"}
            if on_gpu and number in ("K = 1", "K = 10"):
                bars[f"{name} / {base}"] = 4.0 if number == "K = 1" else 8.0
    publish(QUESTION, rows, bars)


if __name__ == "__main__":
    main()
