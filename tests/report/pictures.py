"""Studies whose reports hold every kind of figure, made from numbers alone."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tests.report.conftest import FakeRun, outcome_of
from tests.sealing import seal_again

from bnexp.report.outcome import Outcome
from bnexp.studies.record import read_evidence, write_results

SIGNALS = ("preactivation_std", "zero_fraction", "unit3/p15", "unit3/p50", "unit3/p85")
FACTORS: dict[str, list[Any]] = {"norm": ["none", "batch"], "optimizer.lr": [0.05, 0.1, 0.2]}


def factorial_study(folder: Path) -> Outcome:
    """A factor and a learning rate, a target that some reach, signals; losses lie within one decade."""
    labels = [
        " ".join(f"{key}={value}" for key, value in zip(FACTORS, levels, strict=True))
        for levels in product(*FACTORS.values())
    ]
    node = {"factors": FACTORS, "baseline": labels[0], "seeds": 2, "target": {"value": 0.7}}
    found = {label: [_run(i, seed) for seed in (0, 1)] for i, label in enumerate(labels)}
    return with_signals(outcome_of(folder, node, found))


def study_of_arms(folder: Path, count: int, *, losses: tuple[float, float] = (2.0, 0.3)) -> Outcome:
    """``count`` arms whose training losses go from the first to the second of ``losses``."""
    labels = [f"arm {i:02d}" for i in range(count)]
    arms = {label: [f"norm.eps={i}"] for i, label in enumerate(labels)}
    node = {"arms": arms, "baseline": labels[0], "seeds": 2, "target": {"value": 0.7}}
    found = {label: [_run(i, seed, losses) for seed in (0, 1)] for i, label in enumerate(labels)}
    return with_signals(outcome_of(folder, node, found))


def with_signals(outcome: Outcome) -> Outcome:
    """The same study, whose runs recorded signals of three layers."""
    for number, job in enumerate(outcome.plan.jobs):
        file = job.path / "metrics.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for epoch, row in enumerate(rows):
            for layer, statistic in product(range(3), SIGNALS):
                percentile = {"unit3/p15": -1.0, "unit3/p85": 1.0}.get(statistic, 0.0)
                size = (1 + number % 5) * (1.3**epoch) / (1 + layer)
                value = (
                    percentile * size if statistic.startswith("unit") else size / (10 if "fraction" in statistic else 1)
                )
                row[f"signal/layer{layer}/{statistic}"] = value
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        seal_again(job.path)
    evidence, _ = read_evidence(outcome.plan)
    write_results(outcome.plan, evidence, outcome.verdicts)
    return Outcome(outcome.plan, evidence, outcome.verdicts)


def _run(number: int, seed: int, losses: tuple[float, float] = (0.9, 0.4)) -> FakeRun:
    end = 0.5 + 0.04 * (number % 11) + 0.01 * seed
    values = np.linspace(0.3, end, 6)
    return FakeRun([*values.tolist()], float(end), losses=[*np.geomspace(*losses, 6).tolist()])
