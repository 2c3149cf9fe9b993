"""What is recorded at level full beside the light signals: noise, running statistics, smoothness, shift, curvature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from bnexp.signals.batch_discrepancy import batch_discrepancy
from bnexp.signals.covariate_shift import after_a_step, covariate_shift
from bnexp.signals.curvature import curvature
from bnexp.signals.gradient_noise import signal_and_noise
from bnexp.signals.objective import Loss, Objective
from bnexp.signals.order import layer_parameters, parameter_order
from bnexp.signals.smoothness import smoothness

LANCZOS_STEPS = 16
LANCZOS_VECTORS = 2
"""Two random vectors, sixteen products with the Hessian each: outliers are found to a percent in a dozen."""


class FullSignals:
    """Measures what takes more than one pass. It moves parameters and puts them back; the rest is its caller's task.

    Use it, its construction too, within :func:`bnexp.signals.untouched.untouched`.

    Args:
        model, loss, optimizer: those of the run.
        probe_batch: for the Hessian, where it is smaller than a training batch: second derivatives take much memory.
        batches: whole training batches: all of them for noise and running statistics, the first for what a step sees.
        gradient_clip: as training clips.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        probe_batch: tuple[Tensor, Tensor],
        batches: Sequence[tuple[Tensor, Tensor]],
        gradient_clip: float | None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.probe_batch = probe_batch
        self.batches = batches
        self.gradient_clip = gradient_clip
        self.order = parameter_order(model, batches[0][0])
        layers = layer_parameters(model)
        place = {parameter: index for index, parameter in enumerate(self.order)}
        called = [name for name, own in layers.items() if all(parameter in place for parameter in own)]
        self.layers = {name: layers[name] for name in sorted(called, key=lambda name: place[layers[name][0]])}

    def measure(self, generators: Sequence[torch.Generator]) -> dict[str, Tensor | float]:
        """Return all numbers by ``<layer>/<statistic>``, or ``<statistic>`` where they are about the whole network."""
        return {
            **self._along_a_step(generators),
            **self._gradient_noise(generators),
            **self._batch_discrepancy(),
            **self._curvature(generators),
        }

    def _along_a_step(self, generators: Sequence[torch.Generator]) -> dict[str, Tensor | float]:
        objective = Objective(self.model, self.loss, *self.batches[0], generators)
        along = smoothness(objective, float(self.optimizer.param_groups[0]["lr"]))
        gradients = dict(zip(objective.parameters, objective.gradients()[1], strict=True))
        updated = after_a_step(self.optimizer, gradients, self.gradient_clip)
        shifts = covariate_shift(objective, self.layers, self.order, updated)
        found: dict[str, Tensor | float] = dict(asdict(along))
        for name, shift in shifts.items():
            found[f"{name}/covariate_shift"] = shift.distance
            found[f"{name}/covariate_shift_cosine"] = shift.cosine
        return found

    def _gradient_noise(self, generators: Sequence[torch.Generator]) -> dict[str, Tensor | float]:
        if len(self.batches) < 2:
            return {}
        objectives = [Objective(self.model, self.loss, *batch, generators) for batch in self.batches]
        position = {parameter: index for index, parameter in enumerate(objectives[0].parameters)}
        noise = signal_and_noise(objective.gradients()[1] for objective in objectives)
        found: dict[str, Tensor | float] = {"gradient_signal_to_noise": noise.ratio()}
        for name, own in self.layers.items():
            found[f"{name}/gradient_signal_to_noise"] = noise.ratio([position[parameter] for parameter in own])
        return found

    def _batch_discrepancy(self) -> dict[str, Tensor | float]:
        norms = batch_discrepancy(self.model, [inputs for inputs, _ in self.batches])
        return {f"{name}/{key}": value for name, norm in norms.items() for key, value in asdict(norm).items()}

    def _curvature(self, generators: Sequence[torch.Generator]) -> dict[str, Tensor | float]:
        batch = min(self.batches[0], self.probe_batch, key=lambda batch: len(batch[0]))
        objective = Objective(self.model, self.loss, *batch, generators)
        spectrum = curvature(objective, num_steps=LANCZOS_STEPS, num_vectors=LANCZOS_VECTORS)
        return {f"hessian_{key}": value for key, value in asdict(spectrum).items()}
