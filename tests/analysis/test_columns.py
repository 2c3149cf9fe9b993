"""Tables on a terminal: what is folded, what is left out, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest
from rich.console import Console

from bnexp.analysis.columns import Column, fitting, no_room, table

COLUMNS = [
    Column("name", ["a long name of many words", "b"], is_left=True, least=10),
    Column("value", ["0.123456", "2"]),
    Column("a header of words", ["1", "2"], rank=1, least=6),
    Column("least", ["important", "no"], rank=2),
]


def printed(width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table(COLUMNS, width))
    return captured.get().splitlines()


@pytest.mark.parametrize(
    ("width", "names"),
    [(200, 4), (41, 4), (40, 3), (30, 3), (29, 2), (10, 2)],  # 10 + 8 + 6 + 9 letters, and a gap of 2 for each
)
def test_columns_go_from_the_highest_rank_on_and_those_of_rank_0_stay(width: int, names: int) -> None:
    shown = fitting(COLUMNS, width)
    assert shown == COLUMNS[:names]
    hidden = ", ".join(column.name for column in COLUMNS[names:])
    line = f"no room for: {hidden} (a wider terminal, --json has them)" if hidden else ""
    assert no_room(COLUMNS, width, "--json") == line


@pytest.mark.parametrize("width", range(10, 90))
def test_no_letter_of_a_column_that_is_shown_is_cut(width: int) -> None:
    lines = printed(width)
    assert max(map(len, lines)) <= width
    texts = [text for column in fitting(COLUMNS, width) for text in (column.name, *column.cells)]
    assert Counter("".join(lines)) - Counter(" ─" * 1000) == Counter("".join(texts)) - Counter(" " * 1000)
    assert width < 22 or any("0.123456" in line for line in lines)


def test_headers_are_folded_before_cells() -> None:
    assert "a long name of many words" in "\n".join(printed(60))
    assert "a header of words" not in "\n".join(printed(60))
