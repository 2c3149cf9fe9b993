"""Which runs of this process go side by side: on a GPU, seeds of one configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from bnexp.experiment import prepare
from bnexp.replicas import num_side_by_side
from bnexp.studies.plan import Job
from bnexp.training.device import choose_device


def packs(jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
    """Yield the jobs in packs to be trained in lockstep; on a CPU, one by one in their order."""
    on_gpu = [job for job in jobs if choose_device(job.composed.config["training"]["device"]).type == "cuda"]
    if not on_gpu:
        yield from ([job] for job in jobs)
        return
    for seeds in equal_but_for_seeds(jobs):
        size = num_side_by_side(prepare(*seeds[0].composed), len(seeds)) if len(seeds) > 1 else 1
        for start in range(0, len(seeds), size):
            yield seeds[start : start + size]


def equal_but_for_seeds(jobs: Sequence[Job]) -> list[list[Job]]:
    """Group jobs whose configurations differ in nothing but the seed."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        question = json.dumps(job.composed.config | {"seed": None}, sort_keys=True, default=str)
        groups.setdefault(question, []).append(job)
    return [*groups.values()]
