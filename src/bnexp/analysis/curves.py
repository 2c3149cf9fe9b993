"""Learning curves of arms: the mean over their runs, and a band from the lowest run to the highest."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.analysis.arms import Arm, differing
from bnexp.analysis.legend import add_legend, any_script, arranged, telling
from bnexp.analysis.runs import Run
from bnexp.analysis.scales import set_log_scale
from bnexp.atomic import write_atomically
from bnexp.config.targets import show
from bnexp.training.record import Row

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

PANELS = {"val/accuracy": "validation accuracy (fraction correct)", "train/loss": "training loss (nats)"}
"""What is drawn: the metric of an evaluation, and the words on its axis."""

# Okabe & Ito's colours, which colour-blind people can tell apart, without the yellow that white paper swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (9, 3)), (0, (3, 2, 1, 2, 1, 2)))
WIDTH = 9.0  # inches


@dataclass(frozen=True)
class Curve:
    """One metric of an arm over epochs; NaN where a run has no finite value. All arrays are (num_evaluations,)."""

    epochs: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers


def curve(runs: Sequence[Run], metric: str) -> Curve:
    """Return mean, lowest and highest value of ``metric`` over ``runs`` at each epoch at which one was evaluated.

    A run that ended early, stopped or diverged, keeps its last value: without it the mean would be that of the
    better runs. Before its first evaluation, and where its value is not finite, there is no mean.
    """
    import numpy as np

    records = [_points(run.rows, metric) for run in runs]
    epochs = np.unique(np.concatenate([record[0] for record in records]))
    held = np.array([_held(record, epochs) for record in records])  # (num_runs, num_evaluations)
    return Curve(epochs, held.mean(0), held.min(0), held.max(0))


def draw(arms: Sequence[Arm], panels: dict[str, str] = PANELS) -> Figure:
    """Draw a panel for each metric, with a line and a band for each arm that has an evaluation."""
    import numpy as np
    from matplotlib.figure import Figure

    labels = telling([arm.label for arm in arms])
    names = arranged([label + _counts(arm) for label, arm in zip(labels, arms, strict=True)], WIDTH)
    figure = Figure(figsize=(WIDTH, 3.6 + names.height), layout="constrained")
    panes = figure.subplots(1, len(panels), squeeze=False)[0]
    for pane, (metric, name) in zip(panes, panels.items(), strict=True):
        for arm, (colour, dash) in zip(arms, styles(arms), strict=True):
            _draw_arm(pane, arm, metric, colour, dash)
        pane.set_xlabel("epoch")
        pane.set_ylabel(name)
        pane.grid(alpha=0.3)
        if "loss" in metric and np.isfinite(pane.dataLim.minposy):  # some loss is finite and above 0
            set_log_scale(pane)
    add_legend(figure, panes[0].get_lines(), names)
    figure.suptitle("mean over runs, band from the lowest to the highest", fontsize=10)
    return figure


def save(figure: Figure, prefix: Path) -> list[Path]:
    """Write PREFIX.png and PREFIX.svg, the same bytes for the same curves; return their paths."""
    from matplotlib import rc_context

    paths = []
    for kind in ("png", "svg"):
        content = io.BytesIO()
        with rc_context({"svg.hashsalt": "bnexp"}), any_script():
            figure.savefig(content, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else {})
        paths.append(prefix.with_name(f"{prefix.name}.{kind}"))
        write_atomically(paths[-1], content.getvalue())
    return paths


def styles(arms: Sequence[Arm]) -> list[tuple[str, object]]:
    """Return colour and dashes of each arm; where two settings tell arms apart, one is the colour, one the dashes."""
    variety = differing(arms)
    complete = all(arm.settings.keys() == variety.keys() for arm in arms)
    if len(variety) == 2 and complete:
        first, second = variety
        if len(variety[first]) <= len(COLOURS) and len(variety[second]) <= len(DASHES):
            names = [[show(value) for value in values] for values in variety.values()]
            return [
                (COLOURS[names[0].index(show(arm.settings[first]))], DASHES[names[1].index(show(arm.settings[second]))])
                for arm in arms
            ]
    return [(COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]) for i in range(len(arms))]


def drawable(arms: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """Leave out runs whose ``metrics.jsonl`` does not reach to their end, and arms of which nothing is left.

    Returns:
        The arms, and a line for each run that was left out.
    """
    found, left_out = [], []
    for arm in arms:
        whole = tuple(run for run in arm.runs if _is_whole(run))
        left_out += [f"{run.path}: metrics.jsonl is missing or damaged" for run in arm.runs if run not in whole]
        if whole:
            found.append(replace(arm, runs=whole))
    return found, left_out


def _is_whole(run: Run) -> bool:
    try:
        has_epochs = all(isinstance(row["epoch"], int | float) for row in run.rows)
        return has_epochs and bool(run.rows[-1]["step"] == run.result["steps"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _points(rows: Sequence[Row], metric: str) -> tuple[Numbers, Numbers]:
    import numpy as np

    found = [(row["epoch"], row[metric]) for row in rows if metric in row]
    epochs, values = zip(*found, strict=True) if found else ((), ())
    return np.array(epochs, float), np.array(values, float)  # None becomes NaN


def _held(record: tuple[Numbers, Numbers], epochs: Numbers) -> Numbers:
    import numpy as np

    own, values = record
    return np.concatenate([[np.nan], values])[np.searchsorted(own, epochs, side="right")]


def _draw_arm(pane: Axes, arm: Arm, metric: str, colour: str, dash: object) -> None:
    import numpy as np

    found = curve(arm.runs, metric)
    alone = np.isfinite(found.mean).sum() == 1  # a point that a line would not show
    marker = "o" if alone else ""
    pane.plot(found.epochs, found.mean, color=colour, linestyle=dash, linewidth=1.8, marker=marker)
    if len(arm.runs) > 1:
        pane.fill_between(found.epochs, found.low, found.high, color=colour, alpha=0.15, linewidth=0)


def _counts(arm: Arm) -> str:
    diverged = f", {arm.num_diverged} diverged" if arm.num_diverged else ""
    return f" (n = {len(arm.runs)}{diverged})"
