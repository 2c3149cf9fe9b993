"""Batches cut from a dataset that lives on the device: an index, an augmentation, a scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from bnexp.data.augment import Augmentation, Plan, mixed
from bnexp.data.dataset import Dataset, Examples
from bnexp.nn.losses import smoothed
from bnexp.seeding import generator


class Scale:
    """Bring inputs to the dataset's scaling, on the device: images by (x − mean) / std, as ``channels_last``.

    Rows come scaled: in 64 bits, which not every device has.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.is_image = len(dataset.input_shape) == 3
        if self.is_image:
            mean, std = (value.view(-1, 1, 1).to(device) for value in (dataset.mean, dataset.std))
            self.shift, self.factor = -mean / std, 1 / std

    def __call__(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, …) as they are stored to float32; ``scaling=standardized``: mean 0, standard deviation 1."""
        if not self.is_image:
            return inputs
        images = inputs.to(dtype=torch.float32, memory_format=torch.channels_last)
        return torch.addcmul(self.shift, images, self.factor)


def on_device(examples: Examples, device: torch.device) -> Examples:
    """Copy a split to the device, once."""
    return Examples(sent(examples.inputs, device), sent(examples.labels, device))


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to the device; to a GPU from pinned memory, so that nobody waits for it."""
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


class TrainingBatches:
    """The training batches of every step: step s takes the (s mod steps_per_epoch)-th part of its epoch's order.

    Order and augmentation of an epoch come from generators of that epoch, so any step can be entered directly. That
    is up to :meth:`seek`. What follows, :meth:`current`, does the same to the same tensors at every step, so that a
    CUDA graph can hold it.

    Attributes:
        batch_size: examples a step.
        steps_per_epoch: ⌊num_examples / batch_size⌋.
    """

    def __init__(
        self,
        examples: Examples,
        scale: Scale,
        augmentation: Augmentation,
        *,
        num_classes: int,
        label_smoothing: float,
        batch_size: int,
        seed: int,
    ) -> None:
        self.examples = examples
        self.scale = scale
        self.augmentation = augmentation
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = len(examples) // batch_size
        self._epoch = -1
        self._order = torch.empty(0)
        self._plan: Plan | None = None
        self._first_rows = torch.arange(batch_size, device=examples.labels.device)
        self._rows = self._first_rows.clone()

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the batch of ``step``, as :meth:`current` does."""
        self.seek(step)
        return self.current()

    def seek(self, step: int) -> None:
        """Let the batch of ``step`` be the current one."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._enter(epoch)
        torch.add(self._first_rows, position * self.batch_size, out=self._rows)

    def current(self) -> tuple[Tensor, Tensor]:
        """Return the scaled inputs (B, …) of the current step and its targets.

        Targets are labels (B,), or probabilities (B, num_classes) where labels are smoothed or examples mixed.
        """
        chosen = self._order[self._rows]
        inputs, targets = self.examples.inputs[chosen], self.examples.labels[chosen]
        if self.label_smoothing > 0 or (self._plan is not None and self._plan.shares is not None):
            targets = smoothed(targets, self.num_classes, self.label_smoothing)
        if self._plan is None:
            return self.scale(inputs), targets
        return self._augmented(self._plan, inputs, targets)

    def _augmented(self, plan: Plan, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        parameters = plan.parameters[self._rows]
        if plan.apply is not None:
            inputs = plan.apply(inputs, parameters)
        inputs = self.scale(inputs)
        if plan.apply_scaled is not None:
            inputs = plan.apply_scaled(inputs, parameters)
        if plan.shares is None:
            return inputs, targets
        shares = plan.shares[self._rows]
        return mixed(inputs, shares), mixed(targets, shares)

    def _enter(self, epoch: int) -> None:
        device, num_examples = self.examples.labels.device, len(self.examples)
        order = torch.randperm(num_examples, generator=generator(self.seed, "order", epoch))
        plan = self.augmentation(num_examples, generator(self.seed, "augment", epoch))
        if self._epoch < 0:
            self._order = sent(order, device)
            self._plan = plan and plan.to(device)
        else:
            self._order.copy_(order)
            if plan is not None and self._plan is not None:
                self._plan.copy_(plan)
        self._epoch = epoch


def evaluation_batches(
    examples: Examples, scale: Scale, batch_size: int | Literal["full"]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all of a split in its own order, standardized, in batches of :func:`evaluation_sizes`."""
    sizes = evaluation_sizes(len(examples), batch_size)
    for inputs, labels in zip(examples.inputs.split(sizes), examples.labels.split(sizes), strict=True):
        yield scale(inputs), labels


def evaluation_sizes(num_examples: int, batch_size: int | Literal["full"]) -> list[int]:
    """Return the sizes of the batches of a split of ``num_examples``; the last one may be smaller."""
    size = num_examples if batch_size == "full" else batch_size
    num_whole, rest = divmod(num_examples, size)
    return [size] * num_whole + [rest] * (rest > 0)
