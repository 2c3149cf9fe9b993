"""Which device a run uses, and with how many threads."""

from __future__ import annotations

import os
import platform
import re
from contextlib import AbstractContextManager, nullcontext
from math import prod
from pathlib import Path
from typing import Literal

import torch

from bnexp.errors import ConfigError, did_you_mean

MACHINE_THREADS = torch.get_num_threads()
"""What PyTorch found the machine to have, before any run of this process set a number of its own."""

_sharing = 1
"""How many processes train on this machine side by side, this one among them."""

SMALL_INPUT = 1024
"""Values of one input below which threads wait more than they work: on 8 × 8 images one process with two threads did
half the work of two processes with one thread each."""


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes CUDA, then Apple's mps, then the CPU.

    Raises:
        ConfigError: for a name that is none, or a device that this machine lacks.
    """
    if name == "auto":
        found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(found)
    kind, _, index = name.partition(":")
    if not re.fullmatch("cpu|mps|cuda(:(0|[1-9][0-9]*))?", name):
        names = ["auto", "cpu", "cuda", "mps"]
        hint = "; did you mean 'cuda'?" if kind == "gpu" else did_you_mean(kind, names)
        raise ConfigError(f"training.device={name} must be auto, cpu, cuda, cuda:N or mps{hint}")
    num_devices = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(index or 0) >= num_devices:
        raise ConfigError(
            f"training.device={name}: this machine has {num_devices} such devices; use training.device=auto or cpu"
        )
    return torch.device(name)


def as_current(device: torch.device) -> AbstractContextManager[object]:
    """Return a block in which ``device`` is what PyTorch's functions of streams and memory are about."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def choose_threads(threads: int | Literal["auto"], input_shape: tuple[int, ...]) -> int:
    """Return the number of CPU threads; ``auto`` is 1 for small inputs, else this process's share of the machine."""
    if threads != "auto":
        return threads
    return 1 if prod(input_shape) < SMALL_INPUT else max(1, MACHINE_THREADS // _sharing)


def share_machine(num_processes: int) -> None:
    """Take one of ``num_processes`` equal shares of the cores: so many processes train side by side."""
    global _sharing
    _sharing = num_processes


def num_cores() -> int:
    """Return the cores that this process can use: those it may run on, and its container's quota (Linux, cgroup v2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = Path("/sys/fs/cgroup/cpu.max")
    quota, period = limit.read_text(encoding="ascii").split() if limit.is_file() else ("max", "1")
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def device_name(device: torch.device) -> str:
    """Return the name of the hardware, for the record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({_processor()})"


def _processor() -> str:
    """Return the processor's name; Python itself knows only its architecture on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
