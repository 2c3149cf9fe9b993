"""The curves of a study's arms for TensorBoard: the mean over seeds, and a band from the lowest run to the highest."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import custom_scalars

from bnexp.analysis.arms import Arm
from bnexp.analysis.curves import curve
from bnexp.atomic import write_atomically
from bnexp.files import make_folder
from bnexp.studies.evidence import CURVES, Evidence

FOLDER = "tensorboard"
SERIES = ("mean", "lower", "upper")
"""The runs of each arm."""

BAND = {metric: (metric, f"~band/{metric}/lower", f"~band/{metric}/upper") for metric in CURVES}
"""The tags of a chart with a band. TensorBoard wants all three in one run, so the run ``mean`` has them once more,
under names that sort behind the others."""

EVENTS = "events.out.tfevents."
KEPT_LETTERS = " .,=+-_()"
LONGEST_NAME = 100  # letters; a file system takes 255 bytes

Point = tuple[int, float, Mapping[str, float]]
"""Step, seconds of training, and a value for each tag."""


def write_curves(study: Path, evidence: Evidence) -> None:
    """Write ``tensorboard/ARM/mean``, ``…/lower`` and ``…/upper`` into a study's folder, in the place of older ones.

    The run ``mean`` of the first arm also holds the layout of the tab Custom Scalars: a chart for each metric, in which
    each arm is a line with its band. TensorBoard's time is that of training, so that its axis Relative shows seconds.
    The same curves give the same files: two controllers that end together do not disturb each other.
    """
    folder = study / FOLDER
    arms = [arm for arm in evidence.arms.values() if arm.runs]
    written: set[Path] = set()
    for name, arm in zip(folder_names([arm.label for arm in arms]), arms, strict=True):
        for series in SERIES:
            head = [_layout(study.name)] if not written else []
            content = _records(head, _points(arm, series))
            path = folder / name / series / (EVENTS + hashlib.sha256(content).hexdigest()[:10])
            make_folder(path.parent, study)
            write_atomically(path, content)
            written.add(path)
    for path in {*folder.rglob(f"{EVENTS}*")} - written:
        _remove(path, folder)


def folder_names(labels: Sequence[str]) -> list[str]:
    """Return a name for each label that every file system takes: letters, digits and a few signs, no two alike."""
    names: list[str] = []
    for label in labels:
        kept = "".join(letter if letter.isalnum() or letter in KEPT_LETTERS else "_" for letter in label)
        name = kept[:LONGEST_NAME].strip(" .") or "arm"
        taken, number = {other.casefold() for other in names}, 2
        unique = name
        while unique.casefold() in taken:
            unique, number = f"{name}-{number}", number + 1
        names.append(unique)
    return names


def _points(arm: Arm, series: str) -> Iterator[Point]:
    """Yield an arm's evaluations; a metric is left out where a run has no finite value of it."""
    steps = {row["epoch"]: row["step"] for run in arm.runs for row in run.rows}
    seconds = curve(arm.runs, "seconds")
    curves = {metric: curve(arm.runs, metric) for metric in CURVES}
    for index, epoch in enumerate(seconds.epochs):
        values: dict[str, float] = {}
        for metric, found in curves.items():
            mean, low, high = (float(each[index]) for each in (found.mean, found.low, found.high))
            if series == "mean":
                values |= dict(zip(BAND[metric], (mean, low, high), strict=True))
            else:
                values[metric] = low if series == "lower" else high
        finite = {tag: value for tag, value in values.items() if math.isfinite(value)}
        if finite:  # then every run has begun, and has a time
            yield int(steps[epoch] or 0), float(seconds.mean[index]), finite


def _layout(title: str) -> Any:
    charts = {metric: ["Margin", list(tags)] for metric, tags in BAND.items()}
    return custom_scalars({title: dict(reversed(charts.items()))})  # TensorBoard shows the last one first


def _records(head: Sequence[Any], points: Iterator[Point]) -> bytes:
    """Return the content of an event file."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    events = [Event(wall_time=0.0, file_version="brain.Event:2")]
    events += [Event(wall_time=0.0, step=0, summary=summary) for summary in head]
    for step, seconds, values in points:
        numbers = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        events.append(Event(wall_time=seconds, step=step, summary=Summary(value=numbers)))
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _remove(path: Path, top: Path) -> None:
    """Remove an old file and the folders that it leaves empty."""
    path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty, or somebody else was faster
        for parent in path.relative_to(top).parents[:-1]:
            (top / parent).rmdir()
