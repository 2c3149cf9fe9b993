"""The entry point: help without anything heavy, one line for a mistake, the exit statuses."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.conftest import within

import bnexp
from bnexp.cli.main import COMMANDS, Command, main
from bnexp.errors import ConfigError

HEAVY = ("torch", "torchvision", "numpy", "hydra", "omegaconf", "rich", "tensorboard")
CALL = "import sys; from bnexp.cli.main import main; status = main(sys.argv[1:]);"


def bnexp_process(*words: str, after: str = "sys.exit(status)") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CALL + after, *words], capture_output=True, text=True, check=False)


def command_that(monkeypatch: pytest.MonkeyPatch, action) -> None:
    """Give bnexp a subcommand ``try`` that does ``action``."""
    module = ModuleType("bnexp_try")
    module.run = action
    monkeypatch.setitem(sys.modules, "bnexp_try", module)
    monkeypatch.setitem(COMMANDS, "try", Command("try something", "bnexp_try"))


def fail_with(error: BaseException):
    def run(_: list[str]) -> int:
        raise error

    return run


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name, command in COMMANDS.items():
        assert f"  {name} " in out
        assert command.summary in out


@pytest.mark.parametrize("name", COMMANDS)
def test_three_ways_to_ask_for_the_help_of_a_command_give_the_same(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for words in (["help", name], [name, "--help"], [name, "norm=batch", "-h"]):
        assert main(words) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0].startswith(f"usage: bnexp {name} ")
    assert texts[0] == texts[1] == texts[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bnexp {bnexp.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["trian"],
        ["train", "--help"],
        ["train", "norm=batch", "--help"],
        ["summary", "--help"],
        ["summary", "--josn"],
        ["list", "norm"],
        ["dashboard", "-h"],
    ],
)
def test_nothing_heavy_is_imported_for_help_lists_and_mistakes(words: list[str]) -> None:
    process = bnexp_process(*words, after=f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])")
    assert process.stdout.endswith("heavy: []\n"), process.stderr


@pytest.mark.parametrize("words", [["--help"], ["trian"], ["train", "--help"], ["summary", "--help"]])
def test_help_and_a_wrong_command_answer_at_once(words: list[str]) -> None:
    assert within(0.2, CALL, *words)  # about 0.03 s; the promise is 0.2 s


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "trian: bnexp has no such command; did you mean 'train'?"),
        (["help", "lits"], "lits: bnexp has no such command; did you mean 'list'?"),
        (["qqq"], "qqq: bnexp has no such command; choose from train, "),
        (["--versoin"], "--versoin: bnexp has no such flag; did you mean '--version'?"),
        (["norm=batch"], "norm=batch: a command must come first; write bnexp train norm=batch"),
    ],
)
def test_a_wrong_command_gets_one_line_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"bnexp: {message}")
    assert err.count("\n") == 1


def test_a_command_gets_the_words_after_its_name_and_gives_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    command_that(monkeypatch, lambda words: seen.extend(words) or 1)
    assert main(["try", "norm=batch", "-m"]) == 1
    assert seen == ["norm=batch", "-m"]


def test_words_after_two_dashes_ask_for_no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    command_that(monkeypatch, lambda words: len(words))
    assert main(["try", "--", "--help"]) == 2


def test_a_users_mistake_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command_that(monkeypatch, fail_with(ConfigError("optimizer.lr=0: must be greater than 0")))
    assert main(["try"]) == 2
    assert capsys.readouterr().err == "bnexp: optimizer.lr=0: must be greater than 0\n"


def test_ctrl_c_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    command_that(monkeypatch, fail_with(KeyboardInterrupt()))
    assert main(["try"]) == 130


@pytest.mark.parametrize("error", [ZeroDivisionError(), BrokenPipeError("a worker's pipe"), SystemExit(143)])
def test_every_other_exception_passes_through(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command_that(monkeypatch, fail_with(error))
    with pytest.raises(type(error)):
        main(["try"])


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CALL + "sys.exit(status)", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_the_process_ends_with_its_status_its_output_and_what_others_left_for_the_end() -> None:
    code = """
import atexit, sys, threading, time
from bnexp.cli.main import process

class TakenDown:
    def __del__(self):
        print("the interpreter takes its modules down")

left = TakenDown()
atexit.register(lambda: print("left for the end"))
threading.Thread(target=lambda: (time.sleep(0.2), print("a thread"))).start()
process()
"""
    for words, status in ((["--version"], 0), (["tarin"], 2)):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert done.returncode == status
        version = [f"bnexp {bnexp.__version__}"] if status == 0 else []
        assert done.stdout.splitlines() == [*version, "a thread", "left for the end"]
        assert ("bnexp has no such command" in done.stderr) == (status == 2)


def test_a_terminal_that_cannot_show_a_letter_gets_the_others() -> None:
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    words = [sys.executable, "-m", "bnexp", "list", "init", "he"]
    done = subprocess.run(words, env=os.environ | ascii_alone, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"init=he: Normal, ?? = 2/fan_in" in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_row_in_the_documentation(command):
    rows = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8").splitlines()
    assert sum(row.startswith(f"| `bnexp {command} ") for row in rows) == 1
