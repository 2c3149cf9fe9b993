"""``bnexp status``: what state each run is in, live on a terminal. Reads run folders only."""

from __future__ import annotations

import json
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnexp.cli.compare import existing_folders
from bnexp.cli.flags import Flag, parse
from bnexp.errors import ConfigError
from bnexp.text import say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bnexp.analysis.states import State
    from bnexp.console import Console

HELP = """\
usage: bnexp status [PATH ...] [FLAGS]

Show every run at or below PATH (outputs if left out) and its state: running (and by which process), queued (a study
asks for it and it has not begun), interrupted, failed (and why), diverged, done. A terminal is refreshed every second
until nothing is running or queued, or until Ctrl-C.

flags:
  --once              show it once
  --json              print JSON instead, once
"""

FLAGS = (Flag(("--once",)), Flag(("--json",)), Flag(("--help", "-h")))
HEADER = ("state", "run", "steps", "val accuracy", "train loss", "remarks")
SIDES = "<<>>><"
RANKS = (0, 0, 0, 2, 3, 1)
"""On a narrow terminal columns of the highest rank are the first to go."""

LEAST = (None, 12, None, None, None, 24)
"""Letters a line down to which a column's cells may be folded."""

MOST_LETTERS = 200  # of a cell on a terminal: an error may be long
SECONDS_BETWEEN_LOOKS = 1.0


def help_text() -> str:
    """Return what ``bnexp status --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Show the states of what the arguments name; return the exit status."""
    from bnexp.analysis.states import find_states

    flags, words = parse(arguments, FLAGS, "status")
    paths = [path for word in words or ["outputs"] for path in existing_folders(word)]
    states = find_states(paths)
    if not states:
        raise ConfigError(f"{' '.join(words or ['outputs'])}: no run; train something first (bnexp train)")
    if "--json" in flags:
        say(*json.dumps([as_json(state) for state in states], indent=2).splitlines())
    elif "--once" in flags or not sys.stdout.isatty():
        say(*aligned([HEADER, *map(cells, states)]), counted(states))
    else:
        _watch(paths)
    return 0


def as_json(state: State) -> dict[str, Any]:
    """Return what ``--json`` prints about a run."""
    owner = state.owner
    return {
        "path": str(state.path),
        "status": state.status,
        "step": state.step,
        "num_steps": state.num_steps,
        "metrics": state.row,
        "owner": None if owner is None else {"host": owner.host, "pid": owner.pid},
        "error": state.error or None,
    }


def cells(state: State) -> tuple[str, ...]:
    """Return a run's row of the table."""
    steps = "" if state.status == "queued" else f"{state.step}/{'?' if state.num_steps is None else state.num_steps}"
    remarks = f"by {state.owner}" if state.owner else state.error
    name = f"{state.path.parent.name}/{state.path.name}"
    return state.status, name, steps, _number(state, "val/accuracy"), _number(state, "train/loss"), remarks


def counted(states: Sequence[State]) -> str:
    """Write how many runs are in which state."""
    from bnexp.analysis.states import STATUSES

    counts = Counter(state.status for state in states)
    order = [*STATUSES, *(status for status in counts if status not in STATUSES)]
    noun = "run" if len(states) == 1 else "runs"
    return f"{len(states)} {noun}: " + ", ".join(f"{counts[status]} {status}" for status in order if counts[status])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines of text, as wide as their words are."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, SIDES, widths, strict=True)) for row in rows
    )
    return [line.rstrip() for line in lines]


def _number(state: State, metric: str) -> str:
    if metric not in state.row:
        return ""
    value = state.row[metric]
    if value is None:
        return "no score" if metric.endswith("accuracy") else "–"
    return f"{value:.4f}"


def _watch(paths: Sequence[Path]) -> None:
    from rich.live import Live

    from bnexp.analysis.columns import console
    from bnexp.analysis.states import find_states

    terminal = console(wraps=True)
    with Live(console=terminal, auto_refresh=False) as live:
        while True:
            states = find_states(paths, is_live=True)
            live.update(_screen(states, terminal), refresh=True)
            if not {"running", "queued"} & {state.status for state in states}:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _screen(states: Sequence[State], terminal: Console) -> RenderableType:
    """The runs that are most worth a look, as many as the terminal has lines for, and how many there are in all."""
    from bnexp.analysis.states import STATUSES

    order = {status: index for index, status in enumerate(STATUSES)}
    ranked = sorted(states, key=lambda state: order.get(state.status, -1))[: terminal.height]

    def num_lines(count: int) -> int:
        return len(terminal.render_lines(_page(ranked[:count], states, terminal.width), pad=False))

    count = bisect_right(range(1, len(ranked) + 1), terminal.height - 1, key=num_lines)
    return _page(ranked[: max(count, 1)], states, terminal.width)


def _page(shown: Sequence[State], states: Sequence[State], width: int) -> RenderableType:
    from rich.console import Group

    from bnexp.analysis.columns import Column, no_room, table

    rows = [cells(state) for state in shown]
    columns = [
        Column(name, [row[i][:MOST_LETTERS] for row in rows], rank, is_left=side == "<", least=least)
        for i, (name, rank, side, least) in enumerate(zip(HEADER, RANKS, SIDES, LEAST, strict=True))
    ]
    hidden = f"; {len(states) - len(shown)} not shown" if len(shown) < len(states) else ""
    line = no_room(columns, width, "--once or --json")
    return Group("", table(columns, width), "", counted(states) + hidden, *([line] if line else []))
