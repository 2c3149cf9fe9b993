"""On which examples are a run's signals measured, and how many of them?"""

from __future__ import annotations

from bnexp.nn.losses import smoothed
from bnexp.signals.level import choose_level, probe_size
from bnexp.signals.monitor import Batch, Monitor
from bnexp.training.batches import TrainingBatches
from bnexp.training.settings import Settings
from bnexp.training.state import Parts


def make_monitor(parts: Parts, settings: Settings, batches: TrainingBatches, steps_per_evaluation: int) -> Monitor:
    """Return what measures a run's signals: on the first examples of the training split, as they are.

    Without augmentation and noise on inputs and weights, so that the examples are the same at each evaluation and in
    all arms with the run's seed.
    """
    wanted, train, size = parts.signals, batches.examples, batches.batch_size
    num_probed = probe_size(wanted.probe_size, len(train), parts.model)
    level = choose_level(wanted.level, num_probed, steps_per_evaluation * size)

    def batch(first: int, num_examples: int) -> Batch:
        rows = slice(first, first + num_examples)
        targets = train.labels[rows]
        if settings.label_smoothing > 0:
            targets = smoothed(targets, batches.num_classes, settings.label_smoothing)
        return batches.scale(train.inputs[rows]), targets

    num_batches = min(wanted.num_batches, batches.steps_per_epoch) if level == "full" else 0
    return Monitor(
        parts.model,
        parts.loss,
        parts.optimizer,
        generators=list(parts.generators.values()),
        probe_batch=batch(0, num_probed if level != "off" else 0),
        batches=[batch(index * size, size) for index in range(num_batches)],
        level=level,
        unit=wanted.unit,
        gradient_clip=settings.gradient_clip,
    )
