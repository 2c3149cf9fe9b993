"""How many panes of a drawing stand side by side."""

from __future__ import annotations

from collections.abc import Sequence


def balanced(count: int, columns: Sequence[int]) -> tuple[int, int]:
    """Return rows and columns for ``count`` panes: no pane alone in the last row, few places empty.

    Args:
        count: panes, one or more.
        columns: how many may stand side by side, the best first; so few that they fill no row stand in one.
    """
    fitting = [across for across in columns if across <= count] or [count]
    across = min(fitting, key=lambda across: (count > across and count % across == 1, -count % across))
    return -(-count // across), across
