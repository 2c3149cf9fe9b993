"""How an inspection looks: a table, then the diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from bnexp.analysis.columns import Column, console, print_columns
from bnexp.cli.bars import Scale, bar, sparkline

if TYPE_CHECKING:
    from bnexp.cli.inspect import Inspected
    from bnexp.signals.inspection import Inspection, LayerReport

BAR_WIDTH = 8
SPARKLINE_WIDTH = 16
ELSEWHERE = "a pipe or --json"


def show(inspected: Inspected) -> None:
    """Print the layers of one network, and what they mean."""
    terminal = console(wraps=True)
    print_columns(terminal, layer_columns(inspected.inspection), ELSEWHERE)
    terminal.print(*_context(inspected.inspection), sep="\n")
    terminal.print(*(f"note: {note}" for note in inspected.notes), sep="\n", end="\n" if inspected.notes else "")
    terminal.print(*_diagnosis(inspected), sep="\n")


def show_arms(found: Sequence[Inspected]) -> None:
    """Print a line for each network, and what each of them means."""
    terminal = console(wraps=True)
    print_columns(terminal, arm_columns(found), ELSEWHERE)
    for inspected in found:
        terminal.print()
        terminal.print(inspected.arm.label, style="bold")
        terminal.print(*(f"note: {note}" for note in inspected.notes), sep="\n", end="\n" if inspected.notes else "")
        terminal.print(*_diagnosis(inspected), sep="\n")


def layer_columns(inspection: Inspection) -> list[Column]:
    """Return the columns of the table of layers."""
    layers = inspection.layers
    forward = Scale(layer.preactivation_std for layer in layers)
    backward = Scale(layer.preactivation_gradient_norm for layer in layers)
    saturates = any(layer.function in ("Tanh", "Sigmoid") for layer in layers)

    def column(name: str, cell: Callable[[LayerReport], str], rank: int, style: str = "", left: str = "") -> Column:
        return Column(name, [cell(layer) for layer in layers], rank, style, bool(left))

    return [
        Column("#", [str(number) for number in range(1, len(layers) + 1)]),
        column("layer", lambda layer: layer.name.removesuffix(".layer"), 0, left="left"),
        column("shape", lambda layer: "×".join(map(str, layer.shape)), 5, left="left"),
        column("fan in", lambda layer: str(layer.fan_in), 9),
        column("fan out", lambda layer: str(layer.fan_out), 10),
        column("weight std", lambda layer: number(layer.weight_std), 4),
        column("theory", lambda layer: number(layer.weight_std_theory), 4),
        column("mean", lambda layer: number(layer.preactivation_mean), 8),
        column("std", lambda layer: number(layer.preactivation_std), 0),
        column("forward", lambda layer: bar(forward.height(layer.preactivation_std), BAR_WIDTH), 0, "cyan", "left"),
        column("gain", lambda layer: number(layer.variance_gain), 0),
        column("zero", lambda layer: percent(layer.zero_fraction), 3),
        column("dead", lambda layer: percent(layer.dead_fraction), 0),
        *([column("flat", lambda layer: percent(layer.saturated_fraction), 0)] if saturates else []),
        column("gradient", lambda layer: number(layer.gradient_norm), 2),
        column("ratio", lambda layer: number(layer.gradient_ratio), 7),
        column("signal", lambda layer: number(layer.preactivation_gradient_norm), 0),
        column(
            "backward",
            lambda layer: bar(backward.height(layer.preactivation_gradient_norm), BAR_WIDTH),
            0,
            "magenta",
            "left",
        ),
    ]


def arm_columns(found: Sequence[Inspected]) -> list[Column]:
    """Return the columns of the table of networks; the lines of all of them share a scale."""
    arms = [one.inspection for one in found]
    forward = Scale(layer.preactivation_std for arm in arms for layer in arm.layers)
    backward = Scale(layer.preactivation_gradient_norm for arm in arms for layer in arm.layers)

    def lines(scale: Scale, value: str) -> list[str]:
        return [
            sparkline([scale.height(getattr(layer, value)) for layer in arm.layers], SPARKLINE_WIDTH) for arm in arms
        ]

    return [
        Column("arm", [one.arm.label for one in found], is_left=True),
        Column("layers", [str(len(arm.layers)) for arm in arms], 4),
        Column("loss", [number(arm.initial_loss) for arm in arms], 1),
        Column("forward", lines(forward, "preactivation_std"), 0, "cyan", is_left=True),
        Column("factor", [number(arm.variance_factor) for arm in arms]),
        Column("dead", [percent(arm.dead_fraction) for arm in arms], 2),
        Column("backward", lines(backward, "preactivation_gradient_norm"), 0, "magenta", is_left=True),
        Column("first/last", [number(arm.layers[0].gradient_ratio) for arm in arms]),
        Column("Jacobian", [number(arm.jacobian_singular_values[0]) for arm in arms], 3),
    ]


def number(value: float | None) -> str:
    """Write two digits, short enough for a column."""
    if value is None:
        return "-"
    if 1e-3 <= abs(value) < 1e4:
        return f"{float(f'{value:.2g}'):g}"
    return f"{value:.2g}".replace("e-0", "e-").replace("e+0", "e+")


def percent(fraction: float) -> str:
    """Write a fraction as a whole percentage."""
    return f"{100 * fraction:.0f}%"


def _context(inspection: Inspection) -> Iterator[str]:
    values = ", ".join(number(value) for value in inspection.jacobian_singular_values)
    yield (
        f"initial loss {inspection.initial_loss:.4g} over {inspection.num_examples} examples; "
        f"{inspection.expected_initial_loss:.4g} where all logits are equal"
    )
    yield f"Jacobian of the logits, largest singular values: {values}"


def _diagnosis(inspected: Inspected) -> list[str]:
    return [f"* {line}" for line in inspected.diagnosis] or ["* nothing stands out"]
