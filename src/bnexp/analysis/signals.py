"""The signals that runs recorded, as a tidy table and as arrays of depth × time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bnexp.analysis.arms import Arm
from bnexp.analysis.runs import Run
from bnexp.training.record import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

PREFIX = "signal/"


class Signal(NamedTuple):
    """What ``signal/<layer>/<statistic>`` names; the layer is empty where the whole network is meant."""

    layer: str
    statistic: str


@dataclass(frozen=True)
class DepthAndTime:
    """One statistic of an arm: the mean over its runs.

    Attributes:
        layers: (num_layers,), in the order of computation.
        epochs: (num_evaluations,).
        mean: (num_layers, num_evaluations), over the runs that have a finite value there; NaN where none has.
    """

    layers: tuple[str, ...]
    epochs: Numbers
    mean: Numbers


def parse(key: str) -> Signal | None:
    """Read a key of a row; None where it is no signal's."""
    if not key.startswith(PREFIX):
        return None
    layer, slash, statistic = key.removeprefix(PREFIX).partition("/")
    return Signal(layer, statistic) if slash else Signal("", layer)


def without_signals(row: Row) -> Row:
    """Return the row without its signals: losses, accuracies and the like."""
    return {key: value for key, value in row.items() if not key.startswith(PREFIX)}


def tidy_signals(label: str, run: Run) -> list[Mapping[str, Any]]:
    """Return a row for each signal of each evaluation of a run."""
    return [
        {"arm": label, "seed": run.seed, "step": row["step"], "epoch": row["epoch"], **signal._asdict(), "value": value}
        for row in run.rows
        for key, value in row.items()
        if (signal := parse(key)) is not None
    ]


def depth_and_time(runs: Sequence[Run], statistic: str) -> DepthAndTime:
    """Return one statistic of an arm's runs at each layer that has it and each epoch at which one was evaluated."""
    import numpy as np

    cells: dict[str, dict[float, list[float]]] = {}
    for run in runs:
        for row in run.rows:
            for key, value in row.items():
                signal = parse(key)
                if signal is not None and signal.layer and signal.statistic == statistic:
                    there = cells.setdefault(signal.layer, {}).setdefault(float(row["epoch"] or 0), [])
                    there += [] if value is None else [float(value)]
    epochs = sorted({epoch for cell in cells.values() for epoch in cell})
    mean = np.full((len(cells), len(epochs)), np.nan)
    for layer, cell in enumerate(cells.values()):
        for time, epoch in enumerate(epochs):
            if values := cell.get(epoch):
                mean[layer, time] = np.mean(values)
    return DepthAndTime(tuple(cells), np.array(epochs, float), mean)


def recorded(arms: Sequence[Arm]) -> set[str]:
    """Return the statistics of layers that a run of these arms recorded."""
    found = (parse(key) for arm in arms for run in arm.runs for row in run.rows[-1:] for key in row)
    return {signal.statistic for signal in found if signal is not None and signal.layer}
