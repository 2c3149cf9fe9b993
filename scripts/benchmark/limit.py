"""What this machine can do at most, and how much of that a training run reaches."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from bnexp_run import bnexp_run
from measure import arguments, by_turns, publish, spread
from torch import nn

QUESTION = "What the machine can do, and what a run reaches (ConvNet 32–64–128, batch 128, 32 × 32 images)"
CONVOLUTIONS = ((3, 32, 32), (32, 64, 16), (64, 128, 8))
"""Channels in, channels out, and side length of the maps of the measured network's layers."""


def work(images: int) -> float:
    """Gflop of the convolutions in a training step: forward, for the weights, and for all inputs but the images."""
    sizes = [2 * 9 * channels * out * side**2 for channels, out, side in CONVOLUTIONS]
    return images * (3 * sum(sizes) - sizes[0]) / 1e9


def rate(act: Callable[[], object], amount: float, seconds: float = 0.5) -> Callable[[], float]:
    """Return a function that repeats ``act`` for a while and returns the amount done a second."""

    def measure() -> float:
        act()
        repeats, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            act()
            repeats += 1
        return repeats * amount / elapsed

    return measure


def matmul(dtype: torch.dtype, size: int = 1024) -> Callable[[], float]:
    """Return a measure of a large matrix product, in Gflop/s."""
    a, b = torch.randn(2, size, size).to(dtype)
    return rate(lambda: a @ b, 2 * size**3 / 1e9)


def convolutions(dtype: torch.dtype, batch: int = 128) -> Callable[[], float]:
    """Return a measure of the network's convolutions alone, forward and backward, in Gflop/s."""
    layers = []
    for index, (channels, out, side) in enumerate(CONVOLUTIONS):
        layer = nn.Conv2d(channels, out, 3, padding=1).to(dtype=dtype, memory_format=torch.channels_last)
        x = torch.randn(batch, channels, side, side).to(dtype=dtype, memory_format=torch.channels_last)
        x.requires_grad_(index > 0)  # the first layer's input needs no gradient
        gradient = torch.randn(batch, out, side, side).to(dtype=dtype, memory_format=torch.channels_last)
        layers.append((layer, x, gradient))

    def act() -> None:
        for layer, x, gradient in layers:
            layer(x).backward(gradient)

    return rate(act, work(batch))


def memory(num_bytes: int = 2**28) -> Callable[[], float]:
    """Return a measure of copying memory, in GB/s read and written."""
    source = torch.zeros(num_bytes, dtype=torch.uint8)
    target = torch.empty_like(source)
    return rate(lambda: target.copy_(source), 2 * num_bytes / 1e9)


def main() -> None:
    asked = arguments(QUESTION, rounds=3)
    runs = {name: bnexp_run(f"training.precision={name}") for name in ("fp32", "bf16")}
    contenders: dict[str, Callable[[], float]] = {"copy of memory": memory()}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        contenders |= {f"matrix product, {name}": matmul(dtype), f"convolutions alone, {name}": convolutions(dtype)}
        contenders[f"bnexp train, {name}"] = lambda name=name: runs[name]() * work(1)  # type: ignore[misc]
    found = by_turns(contenders, asked.rounds)
    rows = {name: spread(values) | {"unit": "Gflop/s"} for name, values in found.items()}
    rows["copy of memory"]["unit"] = "GB/s"
    for name in ("fp32", "bf16"):
        for peak in ("matrix product", "convolutions alone"):
            shares = [a / b for a, b in zip(found[f"bnexp train, {name}"], found[f"{peak}, {name}"], strict=True)]
            rows[f"share of the {peak}, {name}"] = spread(shares)
    publish(QUESTION, rows)


if __name__ == "__main__":
    main()
