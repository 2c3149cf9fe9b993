"""What a run is made of, and what it has done so far: all that a checkpoint has to hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from bnexp.data.augment import Augmentation
from bnexp.data.dataset import Dataset
from bnexp.global_generators import global_state, set_global_state
from bnexp.nn.losses import Loss
from bnexp.nn.noise import GaussianNoise
from bnexp.optim.optimizers import load_state_
from bnexp.training.settings import Evaluation, Signals


@dataclass(frozen=True)
class Parts:
    """What a run is made of, on the device where it runs.

    ``schedule(step, num_steps)`` is the factor on the optimizer's learning rate. ``generators`` are those of dropout
    and other noise, by purpose: the only ones whose state must be saved, as the others start anew each epoch.
    """

    dataset: Dataset
    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int, int], float]
    loss: Loss
    augmentation: Augmentation
    noise: GaussianNoise
    generators: Mapping[str, torch.Generator]
    evaluation: Evaluation
    signals: Signals
    device: torch.device


@dataclass
class Progress:
    """What a run has done so far.

    Accuracies are fractions; "best" is the evaluation with the best validation accuracy, and step 0 where none had a
    score. ``scores`` are those of the last evaluation; of the test split, those of the best one so far or, at the run's
    end, of the last. ``rows`` and ``histograms`` are checksums of all that was recorded at the evaluations. ``parts``
    has an entry for each change of the surroundings: from which step on, and what they were.
    """

    step: int = 0
    seconds_train: float = 0.0
    seconds_total: float = 0.0
    initial_loss: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    best_step: int = 0
    best_val_accuracy: float = -math.inf
    best_test_accuracy: float = math.nan
    num_evaluations: int = 0
    evaluations_since_best: int = 0
    diverged_step: int | None = None
    rows: str = ""
    histograms: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)


def capture(parts: Parts, progress: Progress, fingerprint: str, seed: int) -> dict[str, Any]:
    """Return the state of the run of that fingerprint and seed, as a checkpoint holds it."""
    state = {
        "fingerprint": fingerprint,
        "seed": seed,
        "device": parts.device.type,
        "model": parts.model.state_dict(),
        "optimizer": parts.optimizer.state_dict(),
        "generators": {purpose: generator.get_state() for purpose, generator in parts.generators.items()},
        "global": global_state(),
        "progress": asdict(progress),
    }
    if parts.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(parts.device)
    return state


def restore(state: dict[str, Any], parts: Parts) -> Progress:
    """Bring the parts to a captured state; return how far the run was."""
    parts.model.load_state_dict(state["model"])
    load_state_(parts.optimizer, state["optimizer"])
    for purpose, generator in parts.generators.items():
        generator.set_state(state["generators"][purpose])
    set_global_state(state["global"])
    if parts.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], parts.device)
    return Progress(**state["progress"])
