"""The record once more, as TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from bnexp.training.record import Row

SHOWN = ("val/accuracy", "test/accuracy", "test/loss")
"""The columns of the HParams table, beside the hyperparameters."""


class EventWriter:
    """Writes rows of ``metrics.jsonl`` as scalars, and a run's hyperparameters into the same files at its end."""

    def __init__(self, folder: Path, rows: Iterable[Row]) -> None:
        self.writer = SummaryWriter(str(folder))
        self.tags: set[str] = set()
        self.last_step: float | None = 0
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Write each metric of ``row`` at its step."""
        for tag, value in row.items():
            if tag not in ("step", "epoch", "seconds") and value is not None:
                self.writer.add_scalar(tag, value, row["step"])
                self.tags.add(tag)
        self.last_step = row["step"]

    def summarize(self, hyperparameters: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write the HParams records, and the metrics that have no curve.

        ``SummaryWriter.add_hparams`` would make a run of its own for them, and two curves for each run.
        """
        chosen = {
            key: value if isinstance(value, bool | int | float) else str(value)
            for key, value in hyperparameters.items()
        }
        numbers = {tag: metrics[tag] for tag in SHOWN if metrics.get(tag) is not None}
        for summary in hparams(chosen, numbers):
            self.writer._get_file_writer().add_summary(summary)
        for tag, value in numbers.items():
            if tag not in self.tags:
                self.writer.add_scalar(tag, value, self.last_step)

    def close(self) -> None:
        """Write what is still waiting, and end the writer's thread."""
        self.writer.close()
