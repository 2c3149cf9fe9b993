"""A network's signals during training: what is measured at each evaluation, on which examples, under which tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bnexp.signals.forward import saturated_fraction
from bnexp.signals.full import FullSignals
from bnexp.signals.histogram import Histogram, histogram
from bnexp.signals.level import Level
from bnexp.signals.light import light_signals
from bnexp.signals.objective import Loss
from bnexp.signals.order import layer_parameters
from bnexp.signals.probe import Probe, probe
from bnexp.signals.untouched import untouched
from bnexp.signals.update import LastStep

Batch = tuple[Tensor, Tensor]
"""Inputs (N, …) as the model takes them, and targets: labels (N,) or probabilities (N, num_classes)."""


@dataclass(frozen=True)
class Measured:
    """The signals of one moment, by tag: ``signal/<layer>/<statistic>``, or ``signal/<statistic>`` of all layers."""

    numbers: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)


class Monitor:
    """Measures a network between training steps; training goes on as if nobody had looked.

    Call :meth:`before_last_step` before the last step ahead of an evaluation, :meth:`measure` after it.

    Args:
        model, loss, optimizer: those of the run.
        generators: of the run's noise.
        probe_batch: what the signals are measured on, the same at each evaluation and in each arm.
        batches: whole training batches: the first is a step's, for what is defined along a step.
        level: ``off`` measures nothing, and costs nothing.
        unit: the unit of each layer that is followed by itself.
        gradient_clip: as training clips.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        generators: Sequence[torch.Generator],
        probe_batch: Batch,
        batches: Sequence[Batch],
        level: Level,
        unit: int,
        gradient_clip: float | None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.generators = generators
        self.probe_batch = probe_batch
        self.level = level
        self.unit = unit
        self.last_step = LastStep(layer_parameters(model))
        self.full: FullSignals | None = None
        if level == "full":
            with untouched(model, generators):
                self.full = FullSignals(
                    model, loss, optimizer, probe_batch=probe_batch, batches=batches, gradient_clip=gradient_clip
                )

    def before_last_step(self) -> None:
        """Keep the parameters, so that the step can be compared with them."""
        if self.level != "off":
            self.last_step.remember()

    def measure(self) -> Measured:
        """Measure the network as it is now; it, its noise and its optimizer are then as they were."""
        if self.level == "off":
            return Measured()
        found: dict[str, Tensor | float] = {
            f"{name}/update_ratio": ratio for name, ratio in self.last_step.update_ratios().items()
        }
        with untouched(self.model, self.generators):
            seen = probe(self.model, *self.probe_batch, self.loss)
            for layer in seen.layers:
                found |= {f"{layer.name}/{key}": value for key, value in light_signals(layer, self.unit).items()}
                if self.full and layer.function is not None:
                    found[f"{layer.name}/saturated_fraction"] = saturated_fraction(layer.activation, layer.function)
            if self.full:
                found |= self.full.measure(self.generators)
        histograms = _histograms(seen) if self.full else {}
        return Measured(_fetched(found), histograms)


def _fetched(found: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Bring all numbers over from the device at once."""
    waiting = {key: value for key, value in found.items() if isinstance(value, Tensor)}
    numbers = torch.stack([value.float() for value in waiting.values()]).tolist() if waiting else []
    fetched = dict(zip(waiting, numbers, strict=True))
    return {f"signal/{key}": fetched[key] if key in fetched else float(value) for key, value in found.items()}


def _histograms(seen: Probe) -> dict[str, Histogram]:
    found = {}
    for layer in seen.layers:
        parts = {"weight": layer.weight, "activation": layer.activation, "gradient": layer.weight_gradient}
        for name, values in parts.items():
            counted = histogram(values)
            if counted is not None:
                found[f"signal/{layer.name}/{name}"] = counted
    return found
