"""How many seeds of a run does a GPU train side by side? As many as fit, if that makes them cheaper."""

from __future__ import annotations

import torch

from bnexp.experiment import Experiment
from bnexp.run import make_training
from bnexp.training.device import choose_device
from bnexp.training.graph import WARM_UP, GraphedSteps
from bnexp.training.loop import Training
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder
from bnexp.training.timeout import TimeLimit

NUM_STEPS = 20
"""Steps that are timed; before them come those of the warm-up, and the capture."""

SHARE_OF_MEMORY = 0.8
"""Of what is free on the GPU: evaluations and signals take some on top."""

GAIN = 0.95
"""Side by side a step must cost at most this share of what it costs alone."""


def num_side_by_side(experiment: Experiment, wanted: int) -> int:
    """Return how many replicas, of so many wanted, to train in one process: 1 where no graph can hold their steps.

    Throw-away copies of the run take some steps alone and in company. Nothing is written.
    """
    settings = experiment.settings
    if choose_device(settings.device).type != "cuda" or settings.graph == "off" or settings.compile:
        return 1
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    before = torch.cuda.memory_reserved()
    trainings = [_training(experiment)]
    alone = _seconds_per_step(trainings)
    if alone is None:
        return 1
    each = max(1, torch.cuda.memory_reserved() - before)
    number = min(wanted, max(1, int(SHARE_OF_MEMORY * free / each)))
    while number > 1:
        trainings += [_training(experiment) for _ in range(number - len(trainings))]
        together = _seconds_per_step(trainings[:number])
        if together is not None and together <= GAIN * alone:
            return number
        number //= 2
    return 1


def _training(experiment: Experiment) -> Training:
    told = Silence(experiment.name)
    return make_training(experiment, RunFolder(experiment.path), told, TimeLimit(None))


def _seconds_per_step(trainings: list[Training]) -> float | None:
    """Return a replica's share of the seconds of a step; None where no graph can hold it, or not so many of them."""
    take = GraphedSteps(required=False)
    try:
        for start, end in ((0, WARM_UP + 1), (WARM_UP + 1, WARM_UP + 1 + NUM_STEPS)):
            taken = take([training.stretch(start, end) for training in trainings])
    except torch.cuda.OutOfMemoryError:
        return None
    return taken.seconds / NUM_STEPS if taken.graph else None
