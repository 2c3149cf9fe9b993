"""``bnexp inspect`` as a person uses it: a table, a diagnosis, JSON alone, pictures where asked for, nothing else."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import command

from bnexp.cli.main import main
from bnexp.config.compose import compose_run
from bnexp.experiment import prepare

KEYS = {
    "name",
    "shape",
    "fan_in",
    "fan_out",
    "weight_std",
    "weight_std_theory",
    "activation_mean",
    "activation_std",
    "variance_gain",
    "zero_fraction",
    "dead_fraction",
    "saturated_fraction",
    "gradient_norm",
}
MLP = ["model=mlp", "model.depth=3", "model.width=32", "training.device=cpu"]
XAVIER = ["model=mlp", "model.depth=30", "init=xavier", "training.device=cpu"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["inspect", *words]) == 0
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(said(capsys, "--json", *words), parse_constant=pytest.fail)


def test_json_is_one_document_in_a_process_of_its_own_and_nothing_is_written(bnexp, folder: Path) -> None:
    done = bnexp("inspect", "--json", *MLP)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [layer["name"] for layer in found["layers"]] == [*(f"hidden.{i}.layer" for i in range(3)), "output"]
    assert all(layer.keys() >= KEYS for layer in found["layers"])
    assert [layer["shape"] for layer in found["layers"]] == [[32, 64], [32, 32], [32, 32], [10, 32]]
    assert found["layers"][0]["weight_std_theory"] == pytest.approx(1 / math.sqrt(3 * 64))
    assert found["layers"][0]["variance_gain"] is None
    assert found["expected_initial_loss"] == pytest.approx(math.log(10))
    assert found["initial_loss"] == pytest.approx(math.log(10), rel=0.05)
    assert found["num_examples"] == 512
    assert isinstance(found["diagnosis"], list)
    assert list(folder.iterdir()) == []


def test_the_same_words_give_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MLP, "norm=batch", "model.dropout=0.3"]
    assert as_json(capsys, *words) == as_json(capsys, *words)


def test_xavier_under_relu_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, *XAVIER).splitlines()
    columns = (
        "#, layer, shape, fan in, fan out, weight std, theory, mean, std, forward, gain, zero, dead, gradient, ratio"
    )
    assert lines[0].split() == f"{columns}, signal, backward".replace(",", "").split()
    assert len([line for line in lines if " hidden." in line]) == 30
    [variance] = [line for line in lines if line.startswith("* variance shrinks by 0.4")]
    assert variance.endswith(
        "the weights' variance is 1/fan_in (Xavier), and ReLU needs 2/fan_in; try init=he or norm=batch"
    )
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("norm", ["weight", "mean_only_batch"])
def test_a_norm_that_leaves_the_scale_of_signals_is_no_reason_to_keep_the_init(
    norm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = as_json(capsys, *XAVIER, f"norm={norm}")["diagnosis"][0]
    assert first.endswith("ReLU needs 2/fan_in; try init=he or norm=batch")


def test_with_m_every_arm_has_a_line_and_its_diagnosis(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "-m", *XAVIER[:2], "training.device=cpu", "init=xavier,he", "norm=none,batch")
    header, *rows = out.split("\n\n")[0].splitlines()
    assert " ".join(header.split()) == "arm layers loss forward factor dead backward first/last Jacobian"
    labels = [f"init={init} norm={norm}" for init in ("xavier", "he") for norm in ("none", "batch")]
    assert [" ".join(row.split()[:2]) for row in rows] == labels
    for label in labels:
        assert f"\n{label}\n* " in out


def test_with_m_json_has_a_list_of_arms(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "-m", *MLP, "init=default,he")
    assert found.keys() == {"arms"}
    assert [arm["arm"] for arm in found["arms"]] == ["init=default", "init=he"]
    alone = as_json(capsys, *MLP, "init=he")
    assert {key: value for key, value in found["arms"][1].items() if key != "arm"} == alone


def test_a_signal_that_overflows_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, *MLP, "init=random_normal", "init.std=1e20")
    assert found["layers"][-1]["activation_std"] is None
    assert found["initial_loss"] is None
    assert found["diagnosis"][0].startswith("the signal overflows in layer ")
    assert "Infinity" not in said(capsys, *MLP, "init=random_normal", "init.std=1e20", "--json")


@pytest.mark.parametrize("depth", [3, 50])
def test_plot_draws_the_two_pictures_and_nothing_else(
    depth: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = as_json(
        capsys, "-m", *MLP, f"model.depth={depth}", "init=he,zeros", "norm=none,batch", "--plot", "there.png"
    )
    assert len(found["arms"]) == 4
    assert sorted(path.name for path in folder.iterdir()) == ["there.png", "there.svg"]
    assert (folder / "there.png").read_bytes().startswith(b"\x89PNG")


def test_loaded_weights_are_held_against_no_theory(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = prepare(*compose_run(MLP)).model
    torch.save(model.state_dict(), folder / "weights.pt")
    found = as_json(capsys, *MLP, "model.weights=weights.pt")
    assert {layer["weight_std_theory"] for layer in found["layers"]} == {None}


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_whole_rows_and_is_told_what_had_no_room(width: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command("inspect", "model=mlp", "model.depth=12"), stdout=theirs, env={**environment, "TERM": "dumb"}
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # raised when the other end is closed
        while chunk := os.read(ours, 10_000):
            shown += chunk
    os.close(ours)
    assert process.wait() == 0
    lines = shown.decode().splitlines()
    assert [line.split()[0] for line in lines if " hidden." in line and "%" in line] == [str(i) for i in range(1, 13)]
    assert max(map(len, lines)) <= width
    assert any(line.startswith("no room for: ") for line in lines)


@pytest.mark.parametrize("command_name", ["inspect", "check"])
def test_what_writes_no_run_needs_no_place_for_one(
    command_name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "outputs").write_text("not a folder")
    assert main(["train", *MLP]) == 2
    assert "is a file, not a folder" in capsys.readouterr().err
    assert main([command_name, *MLP, "norm=batch", "training.epochs=1"]) in (0, 1)  # a check may fail
    assert capsys.readouterr().err.count("bnexp: ") == 0


@pytest.mark.parametrize(("words", "expected"), [([], 410), (["signals.probe_size=100"], 100)])
def test_the_probe_batch_is_as_large_as_asked_for_or_as_the_split(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: int
) -> None:
    assert as_json(capsys, *MLP, "dataset=breast_cancer", *words)["num_examples"] == expected


def test_ghost_batches_fit_into_the_probe_batch(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, *MLP, "dataset=breast_cancer", "norm=ghost_batch")
    assert found["num_examples"] % 32 == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--josn"], "--josn: bnexp inspect has no such flag; did you mean '--json'?"),
        (["--plot"], "--plot: the flag lacks its value; write --plot PREFIX"),
        (["--plot", "nowhere/x", *MLP], "--plot=nowhere/x: cannot be written"),
        (["-cd", "nowhere"], "--config-dir=nowhere: no such folder"),
        (["norm=none,batch"], "norm=none,batch: names several values"),
        (["-m", "norm=none,bacth"], "norm=bacth: norm has no such choice; did you mean 'batch'?"),
        (["-m", "seed=range(0)"], "the multirun is empty"),
        (["-m", *MLP, "norm=none,group", "norm.num_groups=3"], "norm.num_groups"),
        (["init=fixup", *MLP], "init=fixup initializes residual branches"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_printed(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"bnexp: {message}")
    assert err.count("\n") == 1
    assert list(folder.iterdir()) == []
