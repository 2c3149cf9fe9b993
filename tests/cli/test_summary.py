"""``bnexp summary`` as a person uses it: C13's and C14's numbers, a table, text or JSON, and nothing written."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from tests.conftest import command

from bnexp.cli.main import main

TOY = "x,label\n" + "".join(f"{i},{'yes' if i % 3 else 'no'}\n" for i in range(60))
ONE_FEATURE = ["dataset=csv", "dataset.path=toy.csv", "dataset.target=label", "model=mlp", "training.batch_size=8"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toy.csv").write_text(TOY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[list[str]]:
    assert main(["summary", *words]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["summary", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_c14_the_net_1_2_24_12_2_prints_4_72_300_26_and_402_and_nothing_is_written(bnexp, folder: Path) -> None:
    done = bnexp("summary", *ONE_FEATURE, "model.hidden=[2,24,12]")
    assert done.returncode == 0, done.stderr
    header, *rows, total = [line.split() for line in done.stdout.splitlines()]
    column = header.index("trainable")
    linear = [row for row in rows if row[1] == "Linear"]
    assert [row[column] for row in linear] == ["4", "72", "300", "26"]
    assert [row[2] for row in linear] == ["2", "24", "12", "2"]
    assert {row[column] for row in rows if row not in linear} <= {"0", "-"}
    assert total[0] == "total"
    assert total[column] == "402"
    assert [path.name for path in folder.iterdir()] == ["toy.csv"]


@pytest.mark.usefixtures("folder")
def test_c13_a_batch_norm_of_five_units_shows_10_trainable_and_10_running(capsys: pytest.CaptureFixture[str]) -> None:
    header, *rows = lines(capsys, *ONE_FEATURE, "model.hidden=[5]", "norm=batch")
    [norm] = [row for row in rows if row[1] == "BatchNorm"]
    assert norm[header.index("trainable")] == "10"
    assert norm[header.index("buffers")] == "10"
    assert rows[-1][header.index("trainable")] == str((1 * 5 + 5) + 10 + (5 * 2 + 2))


@pytest.mark.usefixtures("folder")
def test_json_is_only_json_with_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "--json", *ONE_FEATURE, "model.hidden=[5]", "norm=batch", "norm.input=true"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["input_shape"] == [1]
    kinds = [layer["kind"] for layer in told["layers"]]
    assert kinds == ["Flatten", "BatchNorm", "Linear", "BatchNorm", "ReLU", "Linear"]
    assert told["layers"][2] == {
        "name": "hidden.0.layer",
        "kind": "Linear",
        "output_shape": [5],
        "trainable": 10,
        "frozen": 0,
        "buffers": 0,
        "multiply_adds": 5,
    }
    assert told["total"] == {"trainable": 2 + 10 + 10 + 12, "frozen": 0, "buffers": 2 + 10, "multiply_adds": 5 + 10}


def test_a_column_for_frozen_parameters_appears_with_the_first_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model=mlp", "model.hidden=[3]", "dataset.subset=0.2"]
    assert "frozen" not in lines(capsys, *words)[0]
    header, *_, total = lines(capsys, *words, "model.freeze=[hidden]")
    assert total[header.index("frozen")] == str(64 * 3 + 3)
    assert total[header.index("trainable")] == str(3 * 10 + 10)


def test_a_pipe_gets_whole_lines_whatever_the_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert main(["summary", "model=resnet", "model.depth=8", "norm=batch"]) == 0
    shown = capsys.readouterr().out
    assert "blocks.2.residual.0.activation  ReLU " in shown
    assert len({len(line) for line in shown.splitlines()}) == 1
    assert "\x1b" not in shown


def test_a_narrow_terminal_gets_a_table_that_loses_no_digit() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 40, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(command("summary", "norm=batch"), stdout=theirs, env={**environment, "TERM": "dumb"})
    os.close(theirs)
    shown = ""
    with contextlib.suppress(OSError):  # raised when the other end is closed
        while chunk := os.read(ours, 10_000).decode():
            shown += chunk
    os.close(ours)
    assert process.wait() == 0
    for number in ("73,856", "294,912", "94,410", "609,536", "128×2×2"):
        assert f" {number} " in shown


@pytest.mark.usefixtures("folder")
def test_how_and_where_to_train_does_not_matter(capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in ONE_FEATURE if not word.startswith("training")]
    there = lines(capsys, *words, "training.batch_size=8")
    assert lines(capsys, *words, "training.batch_size=4000", "training.device=cuda:99") == there


def test_a_users_folder_goes_before_bnexps_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine" / "norm").mkdir(parents=True)
    mine = "_target_: bnexp.nn.norms.rms\n_partial_: false\neps: 1.0e-5\naffine: true\ninput: false\n"
    for name in ("none", "my_norm"):
        (folder / "mine" / "norm" / f"{name}.yaml").write_text(mine)
    for norm in ("none", "my_norm"):
        rows = lines(capsys, "-cd", "mine", f"norm={norm}", "model.width=4")
        assert "RMSNorm" in {row[1] for row in rows}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--josn"], "--josn: bnexp summary has no such flag; did you mean '--json'?"),
        (["-cd", "nowhere"], "--config-dir=nowhere: no such folder"),
        (["norm=none,batch"], "norm=none,batch: names several values"),
        (["seed=range(3)"], "seed=range(3): names several values"),
        (["norm=bacth"], "norm=bacth: norm has no such choice; did you mean 'batch'?"),
        (["norm=null"], "norm=null: norm has no such choice"),
        (["model=resnet", "model.depth=9"], "model.depth=9 is not 6n + 2"),
        (["dataset=csv", "dataset.path=other.csv", "dataset.target=label", "model=mlp"], "dataset.path=other.csv"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mistake(capsys, *words).startswith(f"bnexp: {message}")
