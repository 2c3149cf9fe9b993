"""``bnexp summary``: layers, output shapes, parameters and multiply-adds of the network that the words describe."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bnexp.cli.flags import SUMMARY, parse, user_dirs
from bnexp.text import say

if TYPE_CHECKING:
    from bnexp.signals.architecture import LayerSummary

HELP = """\
usage: bnexp summary [GROUP=CHOICE ...] [KEY=VALUE ...] [FLAGS]

Show the network that bnexp train would train with these words: its layers in the order of computation, their output
shapes for one example, and how many numbers they have. Nothing is trained or written.

examples:
  bnexp summary                                       the default network, for the bundled digits
  bnexp summary dataset=cifar10 model=resnet norm=batch
  bnexp summary norm=weight --json

columns:
  trainable      parameters that training changes
  frozen         parameters that it leaves alone (only shown where there are some)
  buffers        running statistics and the like, without the counter num_batches_tracked
  multiply-adds  of one example in convolutions and linear layers; all else counts 0

flags:
  --json                  print JSON instead of a table
  -cd, --config-dir DIR   take choices from DIR too, DIR/norm/mine.yaml for instance
"""

COUNTS = ("trainable", "frozen", "buffers", "multiply_adds")


def help_text() -> str:
    """Return what ``bnexp summary --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Print the network that the arguments describe; return the exit status."""
    flags, overrides = parse(arguments, SUMMARY, "summary")
    folders = user_dirs(flags)
    # Torch and Hydra take seconds: a wrong flag is told before.
    from bnexp.config.compose import compose_run
    from bnexp.experiment import build_network
    from bnexp.signals.architecture import summarize

    network = build_network(*compose_run(overrides, folders))
    input_shape = network.dataset.input_shape
    layers = summarize(network.model, input_shape)
    if "--json" in flags:
        say(*json.dumps(as_json(layers, input_shape), indent=2).splitlines())
    elif sys.stdout.isatty():
        _print_table(layers, input_shape)
    else:
        say(*aligned(layers, input_shape))
    return 0


def as_json(layers: Sequence[LayerSummary], input_shape: tuple[int, ...]) -> dict[str, object]:
    """Return what ``--json`` prints: the shape of one input, each layer, and the sums over all layers."""
    total = {count: _total(layers, count) for count in COUNTS}
    return {"input_shape": input_shape, "layers": [asdict(layer) for layer in layers], "total": total}


def aligned(layers: Sequence[LayerSummary], input_shape: tuple[int, ...]) -> list[str]:
    """Return the table as lines of text, as wide as its words are."""
    rows = _cells(layers, input_shape, "")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [*"<<<", *">>>>"]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=False))
        for row in rows
    ]


def _print_table(layers: Sequence[LayerSummary], input_shape: tuple[int, ...]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from bnexp.console import Console

    header, *rows, total = _cells(layers, input_shape, ",")
    table = Table(show_footer=True, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for index, (name, footer) in enumerate(zip(header, total, strict=True)):
        # Where there is little room, names are broken and numbers are not; with less than 80 columns, lines are.
        table.add_column(name, footer, justify="left" if index < 3 else "right", overflow="fold", no_wrap=index > 1)
    for row in rows:
        table.add_row(*row)
    Console(width=max(shutil.get_terminal_size().columns, 80)).print(table)


def _cells(layers: Sequence[LayerSummary], input_shape: tuple[int, ...], thousands: str) -> list[list[str]]:
    """Return the header, the input, a row for each layer, and the totals."""
    counts = [count for count in COUNTS if count != "frozen" or _total(layers, count)]
    numbers = [[f"{getattr(layer, count):{thousands}}" for count in counts] for layer in layers]
    names = [[layer.name or "-", layer.kind, _shape(layer.output_shape)] for layer in layers]
    return [
        ["layer", "kind", "output", *(count.replace("_", "-") for count in counts)],
        ["input", "-", _shape(input_shape), *("-" for _ in counts)],
        *(name + number for name, number in zip(names, numbers, strict=True)),
        ["total", "-", "-", *(f"{_total(layers, count):{thousands}}" for count in counts)],
    ]


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "-"


def _total(layers: Sequence[LayerSummary], count: str) -> int:
    return sum(getattr(layer, count) for layer in layers)
