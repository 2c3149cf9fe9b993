"""The record once more, as TensorBoard's event files."""

from __future__ import annotations

import io
import math
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import histogram_raw, hparams, scalar

from bnexp.atomic import naming
from bnexp.files import open_new
from bnexp.training.record import Row

SHOWN = ("val/accuracy", "test/accuracy", "test/loss")
"""The columns of the HParams table, beside the hyperparameters."""


class EventWriter:
    """Writes rows of ``metrics.jsonl`` as scalars, and a run's hyperparameters into the same file at its end.

    PyTorch's ``SummaryWriter`` writes from a thread, in which an error is lost; this waits for each write.
    """

    def __init__(self, folder: Path, rows: Iterable[Row], histograms: Iterable[Mapping[str, Any]] = ()) -> None:
        self.path = folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}.0"
        self.file = open_new(self.path)
        self.tags: set[str] = set()
        self.last_step = 0
        try:
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
            for row in rows:
                self.add(row)
            for record in histograms:
                self.add_histograms(record["step"], record["histograms"])
        except BaseException:
            self.close()
            raise

    def add(self, row: Row) -> None:
        """Write each metric of ``row`` at its step."""
        self.last_step = int(row["step"] or 0)
        self._add_scalars(_known({tag: row[tag] for tag in row if tag not in ("step", "epoch", "seconds")}))

    def add_histograms(self, step: int, histograms: Mapping[str, Mapping[str, Any]]) -> None:
        """Write histograms by tag, each as ``histograms.jsonl`` has it."""
        self._write(*(self._event(_histogram(tag, content), step) for tag, content in histograms.items()))

    def summarize(self, hyperparameters: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write the HParams records, and the metrics that have no curve.

        ``SummaryWriter.add_hparams`` would make a run of its own for them, and two curves for each run.
        """
        chosen = {
            key: value if isinstance(value, bool | int | float) else str(value)
            for key, value in hyperparameters.items()
        }
        numbers = _known({tag: metrics.get(tag) for tag in SHOWN})
        self._write(*(self._event(summary, 0) for summary in hparams(chosen, numbers)))
        self._add_scalars({tag: value for tag, value in numbers.items() if tag not in self.tags})

    def close(self) -> None:
        """Close the file; what could not be written has been told by then."""
        with suppress(OSError):
            self.file.close()

    def _add_scalars(self, values: Mapping[str, float]) -> None:
        self._write(*(self._event(scalar(tag, value), self.last_step) for tag, value in values.items()))
        self.tags |= values.keys()

    def _event(self, summary: Summary, step: int) -> Event:
        return Event(wall_time=time.time(), step=step, summary=summary)

    def _write(self, *events: Event) -> None:
        records = io.BytesIO()
        writer = RecordWriter(records)
        for event in events:
            writer.write(event.SerializeToString())
        with naming(self.path):
            self.file.write(records.getvalue())
            self.file.flush()


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out what has no value: a point of NaN would be drawn as one."""
    return {tag: value for tag, value in values.items() if value is not None and math.isfinite(value)}


def _histogram(tag: str, content: Mapping[str, Any]) -> Summary:
    low, high, counts = content["low"], content["high"], content["counts"]
    width = (high - low) / len(counts)
    summary: Summary = histogram_raw(
        tag,
        min=low,
        max=high,
        num=sum(counts),
        sum=content["total"],
        sum_squares=content["squares"],
        bucket_limits=[low + width * edge for edge in range(1, len(counts) + 1)],
        bucket_counts=counts,
    )
    return summary
