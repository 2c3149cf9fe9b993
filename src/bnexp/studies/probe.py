"""What a study will cost, from a few steps of each of its arms in a temporary folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bnexp.config.check import Config
from bnexp.experiment import prepare
from bnexp.run import run
from bnexp.studies.plan import Job, Plan, PlannedArm
from bnexp.training.progress import Silence

NUM_STEPS = 20
ROW_BYTES = 600
"""Of an evaluation, in ``metrics.jsonl`` and TensorBoard's file."""

HYDRA_SECONDS = 0.2
"""For composing a run once more and handing it to a worker, where one of Hydra's launchers does so."""


@dataclass(frozen=True)
class Cost:
    """Estimate for the runs that are still to do, ``num_processes`` at a time."""

    num_jobs: int
    num_processes: int
    seconds: float
    bytes: float


def estimate_cost(plan: Plan, jobs: Sequence[Job], num_processes: int) -> Cost:
    """Train a few steps of each arm that has jobs to do, and scale up."""
    waiting = {job.path for job in jobs}
    seconds = size = 0.0
    for item in plan.arms:
        paths = {job.path for job in item.jobs} & waiting
        if paths:
            each, bytes_each = _probe(item)
            each += HYDRA_SECONDS if plan.hydra else 0.0
            seconds, size = seconds + len(paths) * each, size + len(paths) * bytes_each
            waiting -= paths
    num_processes = min(num_processes, len(jobs))
    return Cost(len(jobs), num_processes, seconds / num_processes, size)


def _probe(item: PlannedArm) -> tuple[float, float]:
    """Return seconds and bytes of one run of an arm."""
    with TemporaryDirectory(prefix="bnexp-") as folder:
        started = time.perf_counter()
        experiment = prepare(_shortened(item, folder), item.composed.choices)
        preparing = time.perf_counter() - started
        result = run(experiment, Silence)
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    settings = item.composed.config["training"]
    train, total = result["seconds"]["train"], result["seconds"]["total"]
    num_evaluations = settings["epochs"] / min(settings["eval_every"], settings["epochs"])
    evaluations = num_evaluations * (total - train)
    steps = item.jobs[0].num_steps * train / max(1, result["steps"])
    return preparing + steps + evaluations, size + ROW_BYTES * num_evaluations


def _shortened(item: PlannedArm, folder: str) -> Config:
    """Return the arm's configuration for one short epoch of :data:`NUM_STEPS` steps on a part of the data."""
    config = item.composed.config
    dataset, training = config["dataset"], config["training"]
    size = item.num_examples["train"] if training["batch_size"] == "full" else training["batch_size"]
    part = min(1.0, NUM_STEPS * size / item.num_examples["train"])
    return config | {
        "output_dir": folder,
        "dataset": dataset | {"subset": dataset["subset"] * part},
        "training": training | {"epochs": 1, "eval_every": 1, "early_stopping": None},
    }
