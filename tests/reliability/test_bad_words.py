"""Whatever words a command is given: status 0, 1 or 2 and no traceback; with 2 a line each, and nothing written."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnexp.cli.main import COMMANDS, main
from bnexp.config.folder import config_dir, groups
from bnexp.config.meaning import keys_by_choice
from bnexp.config.synonyms import CHOICES, KEYS

GROUPS = [group for group in groups([config_dir()]) if group != "study"]
SETTABLE = sorted(key for key in keys_by_choice([config_dir()]) if not key.startswith("study."))
FIELD = sorted({name for names in [*KEYS.values(), *CHOICES.values()] for name in names.split()})

ODD = st.sampled_from(
    [
        *(
            "",
            " ",
            "=",
            "=x",
            "a==b",
            "a=b=c",
            "a={b:{c:1}}",
            "{}",
            "[]",
            "[",
            "}",
            "(",
            "'",
            '"',
            "\\",
            "$",
            "${",
            "~",
        ),
        *("+", "++", "~~", "@", "a@b=c", "a/b=c", "a:b=c", ".", "..", "a.", ".a", "a..b=1", "-", "--", "-=", "---x"),
        *("\0", "a\0b", "\n", "\r", "\x1b[2J", "\ud800", "\udcff", "\u202e", "ä=ö", "日本", "🙂", "*", "**", "[a", "?"),
        *("x" * 300, "x" * 30_000, "a/" * 2500, "9" * 400, "9" * 5000, "a=" + "[" * 200 + "]" * 200),
        *("file", "file/x", "dangling", "loop", "loop/x", "/dev/null", "nowhere", "~nobody-here", "outputs"),
    ]
)
VALUE = st.one_of(ODD, st.text(max_size=6), st.integers().map(str), st.floats(allow_subnormal=False).map(str))
KEY = st.one_of(st.sampled_from(SETTABLE), st.sampled_from(GROUPS), st.sampled_from(FIELD), st.text(max_size=6))
FLAGS = """--config-dir --plot --csv --metric --by --baseline --grid --range --examples --directions --port --json
    --line --cfg --info --package --resolve --dry-run --once --failed --cache -m -cd -c -r -i"""
NAMES = sorted([*FLAGS.split(), *(f"--{name}" for name in FIELD)])
FLAG = st.sampled_from(NAMES)
WORD = st.one_of(
    ODD,
    FLAG,
    st.builds("{}={}".format, KEY, VALUE),
    st.builds("{}={}".format, FLAG, VALUE),
    st.builds("{}{}={}".format, st.sampled_from(["+", "++", "~"]), KEY, VALUE),
    st.sampled_from(FIELD),
    st.text(max_size=8),
)
COMMAND = st.sampled_from([name for name in COMMANDS if name not in ("study", "check", "inspect")])
LINE = st.builds(lambda command, words: [command, *words], COMMAND, st.lists(WORD, min_size=1, max_size=3))
FUZZ: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with odd things in it. What would train or serve says only that it was asked to."""
    place = tmp_path_factory.mktemp("work")
    (place / "file").write_text("x")
    (place / "dangling").symlink_to("nowhere")
    (place / "loop").symlink_to("loop")
    (place / "outputs").mkdir()
    monkeypatch.chdir(place)
    running = {"status": "running", "metrics": {}, "seconds": {}, "seed": 0}
    monkeypatch.setattr("bnexp.run.run", lambda *_: running)
    monkeypatch.setattr("bnexp.cli.through_hydra.run_together", lambda experiments, *_: [running for _ in experiments])
    monkeypatch.setattr("bnexp.cli.multirun.train_missing", lambda *_: None)
    monkeypatch.setattr("bnexp.cli.multirun.launch_together", lambda *_: None)
    monkeypatch.setattr("bnexp.cli.dashboard._serve", lambda *_: 0)
    return place


def attempt(folder: Path, line: list[str]) -> int:
    """Call the program and look at how it ends; return its status."""
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(line)
    assert status in (0, 1, 2), line
    assert "Traceback" not in out.getvalue() + err.getvalue()
    if status == 2 and "-m" not in line:  # a multirun's table may come first
        first, *_ = lines = err.getvalue().splitlines()
        assert first.startswith("bnexp: "), line
        assert len(lines) <= len(line) + 1, lines  # one a mistake
        assert max(map(len, lines)) < 3000
        assert out.getvalue() == ""
        assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before
    return status


@settings(max_examples=40, derandomize=True, **FUZZ)
@given(line=LINE)
def test_any_words_end_in_a_line_or_in_what_they_ask_for(folder: Path, line: list[str]) -> None:
    attempt(folder, line)


@pytest.mark.slow
@settings(max_examples=3000, derandomize=True, **FUZZ)
@given(line=LINE)
def test_three_thousand_lines_of_words_do(folder: Path, line: list[str]) -> None:
    attempt(folder, line)


def test_there_are_mistakes_and_right_words(folder: Path) -> None:
    assert attempt(folder, ["list", "norm"]) == 0
    assert attempt(folder, ["summary", "norm=batch"]) == 0
    assert attempt(folder, ["train", "norm=bn"]) == 2
    assert attempt(folder, ["dashboard"]) == 0
    assert os.listdir() != []  # noqa: PTH208
    assert sys.stdout is not None
