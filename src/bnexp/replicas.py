"""How many seeds of a run does a GPU train side by side? As many as fit, if that makes them cheaper."""

from __future__ import annotations

import gc

import torch

from bnexp.experiment import Experiment
from bnexp.run import make_training, set_numerics
from bnexp.training.device import as_current, choose_device
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
    device = choose_device(settings.device)
    if device.type != "cuda" or settings.graph == "off" or settings.compile:
        return 1
    with as_current(device):
        set_numerics(experiment)
        try:
            number = _largest_that_pays(experiment, wanted)
            _clean_up()
        except RuntimeError:  # PyTorch 2.11 cannot even empty its cache once a capture has failed inside CUDA
            number = 1
    return number


def _largest_that_pays(experiment: Experiment, wanted: int) -> int:
    _clean_up()
    free, _ = torch.cuda.mem_get_info()
    before = torch.cuda.memory_reserved()
    alone = _seconds_per_step(experiment, 1)
    if alone is None:
        return 1
    each = max(1, torch.cuda.memory_reserved() - before)
    number = min(wanted, max(1, int(SHARE_OF_MEMORY * free / each)))
    while number > 1:
        _clean_up()
        together = _seconds_per_step(experiment, number)
        if together is not None and together <= GAIN * alone:
            return number
        number //= 2
    return 1


def _clean_up() -> None:
    """Give back what earlier copies have held: each was on streams, and in a graph's pool, of its own."""
    gc.collect()
    torch.cuda.empty_cache()


def _seconds_per_step(experiment: Experiment, number: int) -> float | None:
    """Return a replica's share of the seconds of a step; None where no graph can hold it, or not so many of them.

    What goes wrong here goes wrong in the run itself too, and becomes its result there.
    """
    take = GraphedSteps(required=False)
    try:
        trainings = [_training(experiment) for _ in range(number)]
        for num_steps in (WARM_UP + 1, NUM_STEPS):
            seconds, is_graph = _taken(take, trainings, num_steps)
    except Exception:
        return None
    return seconds / NUM_STEPS if is_graph else None


def _taken(take: GraphedSteps, trainings: list[Training], num_steps: int) -> tuple[float, bool]:
    """Take so many steps; return a replica's seconds, and whether the last step was a graph's.

    The first steps of the run are taken again and again, as many at a time as lie between two evaluations: there is no
    place for the losses of more, and to write beyond it would end the process's work on the GPU.
    """
    seconds, left = 0.0, num_steps
    while left > 0:
        length = min(left, trainings[0].steps_per_evaluation)
        taken = take([training.stretch(0, length) for training in trainings])
        for training in trainings:
            training.step.fetch()
        seconds, left = seconds + taken.seconds, left - length
    return seconds, taken.graph


def _training(experiment: Experiment) -> Training:
    told = Silence(experiment.name)
    training = make_training(experiment, RunFolder(experiment.path), told, TimeLimit(None))
    training.parts.model.train()
    return training
