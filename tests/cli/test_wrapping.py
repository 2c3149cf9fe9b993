"""Help texts fit the terminal, and lose nothing by it."""

from __future__ import annotations

import pytest

from bnexp.cli.main import COMMANDS, main
from bnexp.cli.wrapping import fitted

TEXT = """\
usage: bnexp try [WORDS]

One sentence that is somewhat long, and goes
on in another line.

flags:
  --flag NAME   what it does, in more words than fit
  --other       less
  bnexp try something quite long with nothing behind it
"""


def test_paragraphs_are_filled_and_columns_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert fitted(TEXT) == (
        "usage: bnexp try [WORDS]\n\nOne sentence that is somewhat long, and\ngoes on in another line.\n\nflags:\n"
        "  --flag NAME   what it does, in more\n                words than fit\n  --other       less\n"
        "  bnexp try something quite long with\n  nothing behind it\n"
    )


def test_a_line_at_the_margin_with_columns_stays_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = "One sentence that is longer than the terminal.\n\nA first run:   bnexp train\nMore:          bnexp --help\n"
    assert fitted(text).endswith("\n\nA first run:   bnexp train\nMore:          bnexp --help\n")


def test_a_terminal_that_is_wide_enough_gets_the_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert fitted(TEXT) == TEXT


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_no_help_is_wider_than_80_columns(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(words) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "1000")
    assert main(words) == 0
    assert capsys.readouterr().out.split() == narrow.split()
