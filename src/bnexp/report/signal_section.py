"""What happened inside the networks: heat maps of the signals that the runs recorded, depth over time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bnexp.analysis.arms import Arm
from bnexp.analysis.signals import depth_and_time, recorded
from bnexp.report.document import Block, Figure, Figures, Section
from bnexp.report.figures.files import figure
from bnexp.report.figures.signal_maps import draw_signal_maps
from bnexp.report.figures.unit_percentiles import Percentiles, draw_unit_percentiles
from bnexp.report.outcome import Outcome

SHOWN = {
    "preactivation_std": ("Standard deviation of the pre-activations", True),
    "zero_fraction": ("Activations that are zero (fraction)", False),
    "dead_fraction": ("Units that are zero for the whole probe batch (fraction)", False),
    "saturated_fraction": ("Activations in the flat tails of tanh or sigmoid (fraction)", False),
    "gradient_norm": ("Norm of the weight's gradient", True),
    "update_ratio": ("Change in the last step over size", True),
    "gradient_signal_to_noise": ("Signal-to-noise ratio of the gradient", False),
    "covariate_shift": ("Change of the gradient by the update of the layers below", True),
    "mean_shift": ("Batch means away from the running means (running standard deviations)", False),
    "eval_variance_ratio": ("Variance in evaluation over running variance", False),
}
"""The statistics that are drawn where they were recorded: their names, and whether the colours are logarithmic."""

MOST_ARMS = 12
READING = (
    "Each pane is an arm: its layers from the first at the bottom to the last, over the epochs. Colours are the mean "
    "over its runs, on one scale for all arms, measured at each evaluation on the same examples of the training split. "
    "All signals are in signals.csv."
)


def signal_sections(outcome: Outcome, folder: Path) -> tuple[Section, ...]:
    """Return the section, or nothing where no run recorded signals."""
    arms = outcome.different_arms
    known = recorded(arms)
    drawn = [_map(arms[:MOST_ARMS], statistic, folder) for statistic in SHOWN if statistic in known]
    blocks = [block for block in [*drawn, _unit(arms[:MOST_ARMS], known, folder)] if block is not None]
    if not blocks:
        return ()
    more = len(arms) - MOST_ARMS
    left_out = (f"The first {MOST_ARMS} arms are drawn; {more} more are in signals.csv.",) if more > 0 else ()
    return (Section("signals", "Signals", (READING, *left_out, *blocks)),)


def _map(arms: Sequence[Arm], statistic: str, folder: Path) -> Block | None:
    """Draw one statistic; None where it is 0 everywhere, or known nowhere."""
    name, logarithmic = SHOWN[statistic]
    maps = {arm.label: depth_and_time(arm.runs, statistic) for arm in arms}
    maps = {label: found for label, found in maps.items() if found.layers}
    if not any(bool((found.mean[found.mean == found.mean] != 0).any()) for found in maps.values()):
        return None
    draw = partial(draw_signal_maps, maps, logarithmic=logarithmic)
    return _block(figure(folder, f"signal-{statistic.replace('_', '-')}", f"{name}.", draw, wide=True))


def _unit(arms: Sequence[Arm], known: set[str], folder: Path) -> Block | None:
    """Draw what one unit of the last hidden layer receives, in each arm's first run."""
    unit = next((statistic.partition("/")[0] for statistic in sorted(known) if statistic.startswith("unit")), None)
    if unit is None:
        return None
    found = {}
    for arm in arms:
        low, middle, high = (depth_and_time(arm.runs[:1], f"{unit}/p{percent}") for percent in (15, 50, 85))
        if len(low.layers) > 1:  # behind the last hidden layer comes the output layer
            found[arm.label] = Percentiles(low.epochs, low.mean[-2], middle.mean[-2], high.mean[-2])
    if not found:
        return None
    caption = (
        f"What the activation function of unit {unit.removeprefix('unit')} of the last hidden layer receives: median "
        "and band from the 15th percentile to the 85th, in each arm's first run (Ioffe & Szegedy 2015, figure 1(b, c))."
    )
    return _block(figure(folder, "signal-unit", caption, partial(draw_unit_percentiles, found), wide=True))


def _block(drawn: Figure | str) -> Block:
    return Figures((drawn,)) if isinstance(drawn, Figure) else drawn
