"""How a comparison looks: as a table in a terminal, and as aligned lines, however long, in a file or pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bnexp.analysis.arms import Arm, common, differing, incidental, pooled, same, word
from bnexp.analysis.caveats import caveats
from bnexp.analysis.runs import Run
from bnexp.analysis.table import Comparison, cells
from bnexp.cli.listing import parts, search_path
from bnexp.config import targets
from bnexp.config.choice_file import read_choice
from bnexp.config.folder import choices, groups
from bnexp.console import Console
from bnexp.text import printable

SIDES = "<>><<>"
"""Towards which side the columns are aligned."""


def show(comparison: Comparison, others: Mapping[str, int], *, is_pooled: bool) -> None:
    """Print what is compared, the table, and what has to be known to read it.

    Args:
        comparison: the table.
        others: how many runs have a status without an answer.
        is_pooled: whether an arm pools several configurations.
    """
    is_terminal = sys.stdout.isatty()
    console = Console(soft_wrap=not is_terminal)
    arms = [row.arm for row in comparison.rows]
    console.print(*_context(arms, others, is_pooled=is_pooled), "", sep="\n")
    if is_terminal:
        console.print(_table(comparison))
    else:
        console.print(*_aligned(cells(comparison)), "", sep="\n")
    console.print(*caveats(comparison), sep="\n")


def counted(numbers: Mapping[str, int]) -> str:
    """Write how many there are of what: ``2 failed, 1 interrupted``."""
    return ", ".join(f"{number} {printable(name)}" for name, number in numbers.items())


def _context(arms: Sequence[Arm], others: Mapping[str, int], *, is_pooled: bool) -> Iterator[str]:
    runs = [run for arm in arms for run in arm.runs]
    unused = f"; not used: {counted(others)}" if others else ""
    yield f"{_plural(len(runs), 'finished run')} in {_plural(len(arms), 'arm')}{unused}"
    yield f"shared  {' '.join(_shared(runs))}, and what these choices bring"
    if told := differing(arms):
        yield f"differ  {_variety(told)}"
    if is_pooled:
        over, is_even = pooled(arms)
        caution = "" if is_even else " (not the same mix in every arm: a difference may come from these)"
        over_seeds = _plural(len({run.seed for run in runs}), "seed")
        what = "; ".join(filter(None, [_variety(over), over_seeds]))
        yield f"pooled  {what}; the intervals take the runs of an arm for independent{caution}"
    elif also := incidental(arms):
        yield f"so too  {_variety(also)}"


def _shared(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the choices that all runs share, and the settings that they share without a choice having brought them."""
    chosen: dict[str, set[str]] = {}
    for run in runs:
        for group in run.config["choices"]:
            chosen.setdefault(group, set()).add(str(run.values[group]))
    brought = {group: [_brought(group, choice) for choice in names] for group, names in chosen.items()}
    for key, value in common(runs).items():
        group, dot, name = key.partition(".")
        if not dot or not all(name in own and same(own[name], value) for own in brought[group]):
            yield word(key, value)


def _brought(group: str, choice: str) -> dict[str, Any]:
    """Return the settings that a choice comes with; none for a choice that bnexp does not know."""
    folders = search_path({})
    if group not in groups(folders) or choice not in choices(folders, group):
        return {}
    return {key: value for file in reversed(parts(folders, group, choice)) for key, value in read_choice(file).items()}


def _variety(found: Mapping[str, Sequence[Any]]) -> str:
    return "; ".join(
        f"{key} = {', '.join(printable(targets.show(value)) for value in values)}" for key, values in found.items()
    )


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _table(comparison: Comparison) -> Table:
    header, *rows = cells(comparison)
    table = Table(box=SIMPLE_HEAD)
    for name, side in zip(header, SIDES, strict=True):
        # A narrow terminal breaks a word rather than lose its end.
        table.add_column(name, justify="left" if side == "<" else "right", overflow="fold")
    for row, line in zip(comparison.rows, rows, strict=True):
        table.add_row(*line, style="bold" if row.best else "")
    return table


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, SIDES, widths, strict=True)) for row in rows
    )
    return [line.rstrip() for line in lines]
