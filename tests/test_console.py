"""Rich draws texts from anywhere as they are, on a terminal too."""

from __future__ import annotations

import io
import re
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.progress import Progress, TextColumn
from rich.table import Table

from bnexp.console import Console
from bnexp.text import HarmlessStream, say
from tests.test_text import ANY, is_harmless

RICHS_OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[A-K]|\r")
"""Colours, the cursor, lines taken back."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def draw(text: str) -> str:
    """What a terminal gets of a text that is printed, in a table and in a bar."""
    stream = Terminal(newline="")
    before, sys.stdout = sys.stdout, HarmlessStream(stream)  # type: ignore[assignment]
    try:
        console = Console(width=60)
        assert console.is_terminal
        console.print(text, f"note: {text}", sep="\n", style="bold")
        table = Table(text, "second", title=text)
        table.add_row(text, "x")
        console.print(table)
        with Progress(TextColumn("{task.description}", markup=False), console=console, transient=True) as bar:
            bar.add_task(text, total=1)
            say(text)  # rich takes it over while the bar is there
    finally:
        sys.stdout = before
    return stream.getvalue()


@pytest.mark.usefixtures("terminal")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ANY | st.sampled_from(["[bold]x[/bold]", "[/]", "[link=http://x]y", ":smile:", "[red]"]))
@example("\x1b]8;;http://x\x07y")
@example("\x9b2Ja")
@example("a\x1b[2Jb")
def test_a_terminal_gets_richs_own_codes_and_no_others(text: str) -> None:
    assert is_harmless(RICHS_OWN.sub("", draw(text)).replace("\n", ""))


@pytest.mark.usefixtures("terminal")
def test_a_sequence_in_a_text_is_shown() -> None:
    drawn = draw("a\x1b[31mb")
    assert "a\x1b[31mb" not in drawn
    assert drawn.count("a\\x1b[31mb") >= 7  # two lines, title, header, cell, bar, and the line above it


@pytest.mark.usefixtures("terminal")
def test_markup_in_a_text_is_text() -> None:
    assert draw("[bold]x").count("[bold]x") >= 7
