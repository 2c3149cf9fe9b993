"""Text from anywhere is shown and not obeyed."""

from __future__ import annotations

import ast
import io
import json
import sys
import traceback
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import bnexp
from bnexp.errors import ConfigError
from bnexp.text import HarmlessStream, harmless_streams, printable, say

SOURCE = Path(bnexp.__file__).parent

OBEYED = [
    *map(chr, range(32)),  # C0: escape, bell, carriage return, backspace …
    *map(chr, range(0x7F, 0xA0)),  # delete, and C1, in which 0x9b alone begins a command
    *("\u200b", "\u200e", "\u200f", "\u061c", "\u2028", "\u2029", "\ufeff", "\ufff9", "\U000e0041"),
    *map(chr, range(0x202A, 0x202F)),  # turn the direction of writing
    *map(chr, range(0x2060, 0x2070)),
    *("\ud800", "\udcff"),  # bytes of a file's name that are not UTF-8
]
ANY = st.text(st.characters() | st.sampled_from(OBEYED) | st.characters(categories=["Cs"]))


def is_harmless(text: str) -> bool:
    """By Unicode's own categories: no control, format or surrogate character, no separator of lines."""
    return not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in text)


@pytest.mark.parametrize("letter", OBEYED, ids=ascii)
def test_what_a_terminal_obeys_is_written_out(letter: str) -> None:
    shown = printable(f"a{letter}b")
    assert is_harmless(shown)
    assert ast.literal_eval(f'"{shown}"') == f"a{letter}b"


@given(ANY)
@example("\x1b]0;title\x07\x1b[2J\r\n\u202egnp.exe")
def test_any_text_becomes_one_harmless_line(text: str) -> None:
    shown = printable(text)
    assert is_harmless(shown)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S"]) | st.just(" ")))
def test_letters_digits_and_signs_of_all_languages_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


@given(st.lists(ANY, min_size=1))
def test_each_text_that_is_said_is_a_line(texts: list[str]) -> None:
    stream = io.StringIO(newline="")
    before, sys.stdout = sys.stdout, stream
    try:
        say(*texts)
    finally:
        sys.stdout = before
    *lines, last = stream.getvalue().split("\n")
    assert (len(lines), last) == (len(texts), "")
    assert all(map(is_harmless, lines))


@given(st.lists(ANY))
def test_whatever_is_written_to_a_harmless_stream_is_harmless(texts: list[str]) -> None:
    under = io.StringIO(newline="")
    stream = HarmlessStream(under)
    for text in texts:
        stream.write(text)
    stream.writelines(texts)
    print(*texts, file=stream)  # type: ignore[call-overload]
    assert is_harmless(under.getvalue().replace("\n", ""))


def test_a_traceback_and_a_library_print_through_the_harmless_streams(capsys: pytest.CaptureFixture[str]) -> None:
    with harmless_streams(), harmless_streams():
        print("a\x1b[2J\nb")
        sys.stderr.write("c\x9b2J\r")
        try:
            raise ValueError("\x1b]0;x\x07")
        except ValueError:
            traceback.print_exc()
    out, err = capsys.readouterr()
    assert out == "a\\x1b[2J\nb\n"
    assert err.startswith("c\\x9b2J\\r")
    assert "ValueError: \\x1b]0;x\\x07" in err
    print("d\r", end="")
    assert capsys.readouterr().out == "d\r"  # the streams are as they were


@given(ANY, ANY)
def test_a_mistake_is_a_line_whatever_it_quotes(one: str, other: str) -> None:
    error = ConfigError(f"key={one} must be a number", other)
    first, second = str(error).split("\n")
    assert is_harmless(first + second)
    assert error.lines == (first, second)


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"class\x1b[2J": "\u202e\x9b\udcff\n"}
    say(*json.dumps(content, indent=2).splitlines())
    assert json.loads(capsys.readouterr().out) == content


def calls(file: Path) -> set[str]:
    """The functions that a file calls by their bare names, and what it imports of rich's console."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    consoles = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "rich.console"]
    return names | {f"rich's {alias.name}" for node in consoles for alias in node.names}


def test_all_that_is_printed_goes_through_one_place() -> None:
    files = {file.relative_to(SOURCE).as_posix(): calls(file) for file in SOURCE.rglob("*.py")}
    assert [name for name, found in files.items() if "print" in found] == ["text.py"]
    assert not [name for name, found in files.items() if "rich's Console" in found]
