import io
import sys

import pytest

from bnexp.data import progress as module
from bnexp.data.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_short_work_is_silent_in_a_log_file(capsys: pytest.CaptureFixture[str]):
    with progress("Reading", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def test_long_work_is_one_plain_line_in_a_log_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    with progress("Reading", 3) as advance:
        advance(1)
        advance(2)
    assert capsys.readouterr() == ("", "Reading … 33%\n")


def test_a_terminal_sees_a_bar(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress("Reading", 4) as advance:
        advance(4)
    assert terminal.getvalue() == ""  # too short to be worth a bar
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    with progress("Reading", 4) as advance:
        advance(4)
    assert "Reading" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
