"""How a run is trained, evaluated and watched: the config groups ``training``, ``evaluation`` and ``signals``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from bnexp.ranges import Count, Fraction, Interval, Location, Natural, Positive

MOST_REPLICAS = 1024
MOST_EPOCHS = 10**9

Seconds = Annotated[float, Interval(low=0, open_low=True, high=10**9)]
"""Time that an alarm can be set to, for all replicas together too."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How long, how much at a time, and where.

    Attributes:
        epochs: passes over the training split.
        batch_size: examples a step; ``full`` takes the whole training split (gradient descent). An epoch has
            ⌊num_examples / batch_size⌋ steps: what is left over waits for another epoch's order, so that every step
            has the same shape.
        eval_every: epochs between two evaluations; may be a part of an epoch.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` …, ``mps``.
        precision: ``fp32``; ``tf32``, a GPU's products of factors with 10 bits; ``bf16``, autocast to bfloat16.
        threads: threads of a CPU run, or ``auto``.
        label_smoothing: ε of the targets of training, whatever the loss (Szegedy et al. 2016, section 7).
        gradient_clip: largest 2-norm of the gradient of all parameters together (Pascanu et al. 2013).
        early_stopping: evaluations without a better validation accuracy before the training ends.
        deterministic: use PyTorch's deterministic algorithms alone, so that a GPU too gives the same bits again; a run
            with an operation that has none fails and names it.
        timeout: seconds after which the run has failed, evaluations and records included; null waits for ever. A run
            that goes on has as many again.
        graph: whether a GPU's steps are one launch each, of a captured CUDA graph: ``auto`` where they can be, ``on``
            or not at all, ``off``. The numbers are the same.
        compile: let ``torch.compile`` make kernels of the forward and backward pass of a training step.
        replicas: runs of the seeds ``seed``, ``seed + 1``, …, each in its folder, in lockstep in one process.
    """

    epochs: Annotated[Count, Interval(high=MOST_EPOCHS)]
    batch_size: Count | Literal["full"]
    eval_every: Annotated[Positive, Interval(high=MOST_EPOCHS)]
    device: Annotated[str, Location()]
    precision: Literal["fp32", "tf32", "bf16"]
    threads: Annotated[Count, Interval(high=1024)] | Literal["auto"]
    label_smoothing: Fraction
    gradient_clip: Positive | None
    early_stopping: Count | None
    deterministic: bool
    timeout: Annotated[Seconds | None, Location()]
    graph: Annotated[Literal["auto", "on", "off"], Location()]
    compile: Annotated[bool, Location()]
    replicas: Annotated[Count, Interval(high=MOST_REPLICAS), Location()]

    def num_in_batch(self, num_examples: int) -> int:
        """Return the examples of a training batch, of a split of ``num_examples``."""
        return num_examples if self.batch_size == "full" else self.batch_size


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a network is evaluated.

    Attributes:
        statistics: what batch norm normalizes by at test time: ``running`` averages (Ioffe & Szegedy 2015, section
            3.1), ``precise`` statistics of the training set, estimated anew for each evaluation (Wu & Johnson 2021),
            or each evaluation ``batch``'s own.
        batch_size: examples an evaluation batch; ``full`` takes a whole split. A matter of memory alone, but with
            ``batch`` statistics, whose answer to an example depends on its company.
    """

    statistics: Literal["running", "precise", "batch"]
    batch_size: Count | Literal["full"]


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What is measured inside the network at each evaluation.

    Attributes:
        level: ``off``; ``light``, activations and gradients of each layer; ``full``, also what takes many passes;
            ``auto``, light where it is cheap (:func:`bnexp.signals.level.choose_level`), else off.
        probe_size: examples of the probe batch, the first of the training split; all of it where it has fewer.
        num_batches: training batches over which gradient noise and running statistics are measured.
        unit: the unit (channel) of each layer whose percentiles are recorded by themselves.
    """

    level: Literal["off", "light", "full", "auto"]
    probe_size: Annotated[int, Interval(low=2)]
    num_batches: Annotated[int, Interval(low=2)]
    unit: Natural
