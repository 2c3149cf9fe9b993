"""What bnexp costs beyond the arithmetic: its step and whole runs, against bare loops on the same tensors."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import torch
from bnexp_run import bnexp_run, experiment
from measure import apart, arguments, by_turns, publish, ratio, spread
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.targets import build
from bnexp.experiment import Experiment
from bnexp.training.batches import Scale
from bnexp.training.step import Step

QUESTION = "bnexp's training against bare loops on the same tensors (ConvNet 32–64–128, batch 128, 32 × 32 images)"
NUM_STEPS = 24


def bare_loop(prepared: Experiment) -> Callable[[], float]:
    """Return a function that does the arithmetic of an epoch, without augmentation, and returns images a second."""
    model, batches = _network(prepared), _batches(prepared)
    optimizer = _optimizer(prepared, model)

    def measure() -> float:
        started = time.perf_counter()
        for images, labels in batches:
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return len(batches) * len(batches[0][1]) / (time.perf_counter() - started)

    return measure


def step_loop(prepared: Experiment) -> Callable[[], float]:
    """Return a function that takes bnexp's step on the same batches, and returns images a second."""
    model, batches = _network(prepared), _batches(prepared)
    config, device = prepared.config, torch.device("cpu")
    noise = build(config["noise"], "noise")(model, 0)
    optimizer = _optimizer(prepared, model)
    step = Step(model, optimizer, build(config["loss"], "loss"), noise, prepared.settings, device, len(batches))

    def measure() -> float:
        started = time.perf_counter()
        for images, labels in batches:
            step(images, labels)
        step.fetch()
        return len(batches) * len(batches[0][1]) / (time.perf_counter() - started)

    return measure


def bare_loop_of_one_thread() -> Callable[[], float]:
    """Return :func:`bare_loop` with one thread."""
    prepared = experiment("training.threads=1")  # sets the threads as well
    return bare_loop(prepared)


def two_at_once(make: Callable[..., Callable[[], float]], *arguments: str) -> Callable[[], float]:
    """Return a function that measures in two processes at once, and returns their images a second together."""
    pair = [apart(make, *arguments) for _ in range(2)]
    threads = ThreadPoolExecutor(2)
    return lambda: sum(threads.map(lambda measure: measure(), pair))


def main() -> None:
    asked = arguments(QUESTION, rounds=5)
    prepared = experiment()
    torch.set_flush_denormal(True)
    found = by_turns({"bare loop": bare_loop(prepared), "bnexp's step": step_loop(prepared)}, asked.rounds)
    found |= by_turns(
        {
            "two bare loops, 1 thread each": two_at_once(bare_loop_of_one_thread),
            "two bnexp runs, 1 thread each": two_at_once(bnexp_run, "training.threads=1"),
        },
        asked.rounds,
    )
    rows = {name: spread(values) | {"unit": "images/s"} for name, values in found.items()}
    rows["step / bare loop"] = ratio(found["bnexp's step"], found["bare loop"]) | {"unit": "×"}
    names = ("two bnexp runs, 1 thread each", "two bare loops, 1 thread each")
    rows["two runs / two bare loops"] = ratio(found[names[0]], found[names[1]]) | {"unit": "×"}
    publish(QUESTION, rows, {"step / bare loop": 0.97, "two runs / two bare loops": 0.9})


def _network(prepared: Experiment) -> nn.Module:
    return deepcopy(prepared.model).to(memory_format=torch.channels_last).train()


def _optimizer(prepared: Experiment, model: nn.Module) -> torch.optim.Optimizer:
    found: torch.optim.Optimizer = build(prepared.config["optimizer"], "optimizer")(model)
    return found


def _batches(prepared: Experiment) -> list[tuple[Tensor, Tensor]]:
    train, size = prepared.dataset.train, prepared.settings.batch_size
    assert size != "full"
    inputs = Scale(prepared.dataset, torch.device("cpu"))(train.inputs[: NUM_STEPS * size])
    return list(zip(inputs.split(size), train.labels[: NUM_STEPS * size].split(size), strict=True))


if __name__ == "__main__":
    main()
