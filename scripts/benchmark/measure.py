"""How everything here is measured: contenders by turns, medians with ranges, and on which machine.

Two things that are compared run A B A B …, so that whatever else the machine does meets both alike.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

PACKAGES = ("bnexp", "torch", "torchvision", "numpy", "hydra-core", "lightning")


def arguments(question: str, **numbers: int) -> argparse.Namespace:
    """Read the command line: whole numbers with their defaults."""
    parser = argparse.ArgumentParser(description=question)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    return parser.parse_args()


def by_turns(
    contenders: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Let each contender measure itself once in every round; a first round may warm up, and does not count then."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(0 if warm_up else 1, rounds + 1):
        for name, measure in contenders.items():
            value = measure()
            if turn > 0:
                found[name].append(value)
        print(f"round {turn} of {rounds}" if turn else "warmed up", file=sys.stderr, flush=True)
    return found


def timed(act: Callable[[], Any]) -> Callable[[], float]:
    """Return a function that does ``act`` and returns the seconds it took."""

    def measure() -> float:
        started = time.perf_counter()
        act()
        return time.perf_counter() - started

    return measure


def process(words: Sequence[str], **environment: str) -> Callable[[], float]:
    """Return a function that runs a command to its end and returns the seconds it took; a failure is an error."""

    def act() -> None:
        done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}\n{done.stdout}{done.stderr}")

    return timed(act)


def apart(make: Callable[..., Callable[[], float]], *arguments: Any) -> Callable[[], float]:
    """Return what ``make(*arguments)`` returns, made and called in a lasting process of its own.

    So no contender has what another one did to its process: threads, memory, flags.
    """
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _make, (make, arguments))
    return lambda: pool.submit(_call).result()


_made: list[Callable[[], float]] = []


def _make(make: Callable[..., Callable[[], float]], arguments: Sequence[Any]) -> None:
    # A spawned process would spawn its own as well, and a loader's workers import everything anew for each Trainer.
    multiprocessing.set_start_method(None, force=True)
    _made.append(make(*arguments))


def _call() -> float:
    return _made[0]()


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """Median, range and number of values."""
    return {"median": median(values), "low": min(values), "high": max(values), "n": len(values)}


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float | int]:
    """Median and range of the ratios of values that were measured in the same round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def machine() -> dict[str, str]:
    """Say where and with what this was measured."""
    import torch

    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": str(torch.get_num_threads()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found | {name: _version(name) for name in PACKAGES}


def publish(question: str, rows: Mapping[str, Mapping[str, Any]], bars: Mapping[str, float] | None = None) -> None:
    """Print a table, one line for each row, and the same as JSON on the last line; ``bars`` are what a row must reach.

    A row has ``median``, ``low``, ``high`` and ``n``, and perhaps a ``unit``.
    """
    width = max(map(len, rows))
    print(question)
    for name, row in rows.items():
        numbers = f"{row['median']:>10.4g}  ({row['low']:.4g} to {row['high']:.4g}, n = {row['n']})"
        print(f"  {name:<{width}} {numbers} {row.get('unit', '')}{_verdict(row, (bars or {}).get(name))}")
    print(
        json.dumps({"question": question, "machine": machine(), "rows": rows, "bars": bars or {}}, ensure_ascii=False)
    )


def _verdict(row: Mapping[str, Any], bar: float | None) -> str:
    if bar is None:
        return ""
    return f"  {'reaches' if row['median'] >= bar else 'misses'} {bar:g}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
