"""``bnexp compare`` as a person uses it, on run folders with known numbers."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.analysis.synthetic import write_run
from tests.conftest import command
from tests.sealing import seal_again

from bnexp.cli.main import main

ACCURACIES = {
    ("default", "none"): [0.70, 0.72, 0.71],
    ("default", "batch"): [0.90, 0.91, 0.89],
    ("he", "none"): [0.80, 0.83, 0.80],
    ("he", "batch"): [0.90, 0.92, 0.91],
}


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two inits × two norms × three seeds, below ``outputs`` of the working folder."""
    for number, ((init, norm), accuracies) in enumerate(ACCURACIES.items()):
        for seed, accuracy in enumerate(accuracies):
            root = tmp_path / "outputs" / f"{init}-{norm}"
            write_run(root, f"{number:010d}", seed, init=init, norm=norm, accuracy=accuracy)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"


Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *words: str) -> str:
    """What the command prints, when it works and has nothing to complain of."""
    assert main(["compare", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def as_json(capsys: Capture, *words: str) -> Any:
    return json.loads(said(capsys, *words, "--json"))


def mistake(capsys: Capture, *words: str) -> str:
    """The line about a mistake; nothing else is printed."""
    assert main(["compare", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bnexp: ")
    assert err.count("\n") == 1
    return err.removeprefix("bnexp: ").rstrip()


@pytest.mark.usefixtures("outputs")
def test_the_table_has_an_arm_for_each_configuration_the_defaults_first(capsys: Capture) -> None:
    lines = said(capsys).splitlines()
    assert lines[0] == "12 finished runs in 4 arms"
    assert lines[1].startswith("shared  dataset=digits model=convnet optimizer=momentum ")
    assert lines[1].endswith(" training=default training.epochs=2, and what these choices bring")
    assert lines[2] == "differ  init = default, he; norm = none, batch"
    assert lines[3] == ""
    header, baseline, *others = [re.split(" {2,}", line) for line in lines[4:9]]
    assert header == ["arm", "n", "diverged", "test/accuracy [95 % CI]", "difference [95 % CI]", "P(> baseline)"]
    assert baseline == ["init=default norm=none", "3", "0", "0.7100 [0.6852, 0.7348]", "baseline"]
    for cells, ((init, norm), values) in zip(others, list(ACCURACIES.items())[1:], strict=True):
        mean, half = np.mean(values), stats.t.ppf(0.975, 2) * stats.sem(values)
        reference = ACCURACIES["default", "none"]
        low, high = stats.ttest_ind(values, reference, equal_var=False).confidence_interval()
        best = " best" if (init, norm) == ("he", "batch") else ""
        assert cells == [
            f"init={init} norm={norm}",
            "3",
            "0",
            f"{mean:.4f} [{mean - half:.4f}, {mean + half:.4f}]{best}",
            f"{mean - np.mean(reference):+.4f} [{low:+.4f}, {high:+.4f}]",
            "1.00",
        ]
    assert lines[-1].startswith("Exploratory: n = 3 (a claim wants 10 or more).")


@pytest.mark.usefixtures("outputs")
def test_by_pools_and_says_what(capsys: Capture) -> None:
    out = said(capsys, "--by", "norm")
    assert "12 finished runs in 2 arms" in out
    assert "pooled  init = default, he; 3 seeds; the intervals take the runs of an arm for independent\n" in out
    assert re.search(r"^norm=batch +6 ", out, re.MULTILINE)


@pytest.mark.parametrize("words", [["--by", "init", "norm"], ["--by=init,norm"], ["--by", "init,norm", "--json"]])
@pytest.mark.usefixtures("outputs")
def test_by_takes_several_keys(capsys: Capture, words: list[str]) -> None:
    found = as_json(capsys, *[word for word in words if word != "--json"])
    assert [arm["settings"] for arm in found["arms"]] == [{"init": init, "norm": norm} for init, norm in ACCURACIES]


@pytest.mark.usefixtures("outputs")
def test_an_uneven_pool_is_told(capsys: Capture) -> None:
    out = said(capsys, "outputs/default-none", "outputs/he-none", "outputs/he-batch", "--by", "norm")
    assert "init = default, he" in out
    assert "(not the same mix in every arm: a difference may come from these)" in out


@pytest.mark.parametrize("text", ["init=he norm=none", "3", "norm=none init=he model=convnet"])
@pytest.mark.usefixtures("outputs")
def test_any_arm_can_be_the_baseline(capsys: Capture, text: str) -> None:
    found = as_json(capsys, "--baseline", text)
    assert found["baseline"] == "init=he norm=none"
    assert [arm["difference"] is None for arm in found["arms"]] == [False, False, True, False]


@pytest.mark.usefixtures("outputs")
def test_any_metric_of_the_results_can_be_compared(capsys: Capture) -> None:
    found = as_json(capsys, "--metric", "best/epoch")
    assert (found["metric"], found["arms"][0]["mean"]) == ("best/epoch", 2.0)


@pytest.mark.usefixtures("outputs")
def test_json_says_what_is_shared_and_what_differs(capsys: Capture) -> None:
    found = as_json(capsys)
    assert found["shared"]["optimizer.lr"] == 0.01
    assert found["differing"] == {"init": ["default", "he"], "norm": ["none", "batch"]}
    assert (found["not_finished"], found["left_out"]) == ({}, [])
    assert [arm["values"] for arm in found["arms"]] == list(ACCURACIES.values())


def test_unfinished_runs_are_counted_and_damaged_folders_and_copies_named(outputs: Path, capsys: Capture) -> None:
    write_run(outputs, "f", 0, status="failed")
    write_run(outputs, "f", 1, status="interrupted")
    (write_run(outputs, "d", 0) / "result.json").write_text("{")
    write_run(outputs / "copy", "0000000000", 0)
    assert main(["compare"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("12 finished runs in 4 arms; not used: 1 failed, 1 interrupted\n")
    # In the order of the paths the copy comes first, and what was first becomes the copy.
    assert err.splitlines() == [
        "left out: outputs/arm/d-s0/result.json: is not what was sealed at the run's end; restore it, or train the run "
        "again with rerun=true",
        "left out: outputs/default-none/arm/0000000000-s0: the same run as outputs/copy/arm/0000000000-s0",
    ]


@pytest.mark.parametrize(
    ("words", "num_runs"),
    [
        (["outputs"], 12),
        (["outputs/he-batch", "outputs/he-none"], 6),
        (["outputs/he-*"], 6),
        (["**/he-none"], 3),
        (["outputs/he-none/arm/0000000002-s1"], 1),
        (["outputs/he-none/arm/*-s[01]"], 2),
    ],
)
@pytest.mark.usefixtures("outputs")
def test_paths_are_runs_folders_of_runs_and_globs(capsys: Capture, words: list[str], num_runs: int) -> None:
    assert sum(arm["n"] for arm in as_json(capsys, *words)["arms"]) == num_runs


def test_a_folder_whose_name_looks_like_a_glob_is_taken_as_it_is(outputs: Path, capsys: Capture) -> None:
    (outputs / "he-none").rename(outputs / "[ab]*")
    assert as_json(capsys, "outputs/[ab]*")["arms"][0]["n"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["output"], "output: no such folder; did you mean 'outputs'?"),
        (["outputs/he-bacth"], "outputs/he-bacth: no such folder; did you mean 'he-batch'?"),
        (["nowhere/x*"], "nowhere/x*: no such folder; name a run folder or a folder of runs"),
        (["outputs/he-none/arm/0000000002-s1/result.json"], "s1/result.json: not a folder; "),
        (["--metric", "tset/accuracy"], "tset/accuracy: no run records such a metric; did you mean 'test/accuracy'?"),
        (["--metric", "loss"], "loss: no run records such a metric; write test/loss"),
        (["--metric", "acc"], "acc: no run records such a metric; write test/accuracy"),
        (["--by", "normalization"], "normalization: the runs have no such choice or setting; write norm"),
        (["--baseline", "init=kaiming"], "init=kaiming: there is no such arm; write 'init=he'"),
        (["--by", "inti"], "inti: the runs have no such choice or setting; did you mean 'init'?"),
        (["--baseline", "norm=none"], "norm=none: this fits 2 arms; "),
        (["--baseline", "norm=layer"], "norm=layer: there is no such arm; "),
        (["--by"], "--by: the flag lacks its value; write --by KEY"),
        (["--plto", "x"], "--plto: bnexp compare has no such flag; did you mean '--plot'?"),
        (["--json", "--csv", "-"], "--csv=-: standard output belongs to --json; name a file"),
        (["--csv", "nowhere/x.csv"], "--csv=nowhere/x.csv: cannot be written (No such file or directory)"),
        (["--plot", "nowhere/x"], "--plot=nowhere/x: cannot be written (No such file or directory)"),
    ],
)
@pytest.mark.usefixtures("outputs")
def test_a_mistake_is_one_line(capsys: Capture, words: list[str], message: str) -> None:
    assert message in mistake(capsys, *words)


def test_nothing_finished_is_a_mistake_that_says_what_there_is(tmp_path: Path, capsys: Capture) -> None:
    assert "no finished run; train something first" in mistake(capsys, str(tmp_path))
    write_run(tmp_path, status="failed")
    assert "no finished run (1 failed); train something first" in mistake(capsys, str(tmp_path))


@pytest.mark.usefixtures("outputs")
def test_csv_goes_to_a_file_beside_the_table_or_alone_to_standard_output(capsys: Capture, tmp_path: Path) -> None:
    assert "12 finished runs" in said(capsys, "--csv", "runs.csv")
    for words in (["--csv", "-"], ["--csv=-"]):
        assert said(capsys, *words) == (tmp_path / "runs.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_text(encoding="utf-8"))))
    assert [float(row["test/accuracy"]) for row in rows] == [x for values in ACCURACIES.values() for x in values]


@pytest.mark.parametrize("prefix", ["curves", "curves.png", "curves.svg"])
@pytest.mark.usefixtures("outputs")
def test_plot_writes_png_and_svg(capsys: Capture, tmp_path: Path, prefix: str) -> None:
    assert main(["compare", "--plot", prefix, "--json"]) == 0
    out, err = capsys.readouterr()
    json.loads(out)
    assert err == "curves: curves.png curves.svg\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "curves.svg", "outputs"]


def test_a_run_without_evaluations_is_not_drawn(outputs: Path, capsys: Capture) -> None:
    for file in outputs.rglob("metrics.jsonl"):
        if "he-" in str(file):
            file.unlink()
            seal_again(file.parent)
    assert main(["compare", "--plot", "curves"]) == 0
    assert capsys.readouterr().err.count("not drawn: outputs/he-") == 6
    assert "--plot=x: no run has evaluations to draw" in main_error(capsys, "outputs/he-none", "--plot", "x")


def main_error(capsys: Capture, *words: str) -> str:
    assert main(["compare", *words]) == 2
    return capsys.readouterr().err


def test_shared_settings_are_told_where_no_choice_brings_them(tmp_path: Path, capsys: Capture) -> None:
    # norm=batch and norm=group bring the same eps; the momentum of 0.9 is what optimizer=momentum brings.
    for norm in ("batch", "group"):
        write_run(tmp_path, norm, norm=norm, norm__eps=1e-5, optimizer__momentum=0.9, optimizer__lr=0.3)
    shared = said(capsys, str(tmp_path)).splitlines()[1]
    assert "optimizer=momentum optimizer.lr=0.3 training" in shared
    assert "norm" not in shared


def test_strange_values_leave_the_terminal_and_the_table_alone(tmp_path: Path, capsys: Capture) -> None:
    for number, norm in enumerate(["none", "[red]x[/]:smile:", "\x1b]0;title\x07", "a\nb|<b>"]):
        write_run(tmp_path, f"{number}", norm=norm, norm__eps="\x1b[2J")
    out = said(capsys, str(tmp_path))
    assert "\x1b" not in out
    assert r"norm=[red]x[/]:smile:" in out
    assert r"norm=a\nb|<b>" in out
    assert r"norm=\x1b]0;title\x07" in out


def test_json_can_be_read_whatever_the_values_are(tmp_path: Path, capsys: Capture) -> None:
    write_run(tmp_path, "a", norm__eps=float("inf"), model__date=date(2026, 1, 2), init="\x9b2J数")
    write_run(tmp_path, "b", norm__eps=float("nan"), model__date=date(2026, 1, 2), init="x")
    out = said(capsys, str(tmp_path), "--json")
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["shared"]["model.date"] == "2026-01-02"
    assert found["differing"]["init"] == ["x", "\x9b2J数"]
    assert out.isascii()


def test_a_pipe_gets_whole_lines_and_a_terminal_a_table_that_fits(outputs: Path) -> None:
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm", "FORCE_COLOR": "1"}
    piped = subprocess.run(
        command("compare"), capture_output=True, text=True, check=True, cwd=outputs.parent, env=environment
    ).stdout
    assert "\x1b" not in piped
    assert max(map(len, piped.splitlines())) > 100
    ours, theirs = pty.openpty()
    shown = subprocess.Popen(command("compare"), stdout=theirs, cwd=outputs.parent, env=environment)
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 4096):
            text += chunk
    except OSError:  # the other end is closed
        pass
    assert shown.wait() == 0
    plain = re.sub(r"\x1b\[[\d;]*m", "", text.decode())
    assert max(map(len, plain.splitlines())) <= 60
    assert "best" in plain
    assert "…" not in plain


def test_no_torch_is_imported(outputs: Path) -> None:
    code = (
        "import sys; from bnexp.cli.main import main; status = main(['compare', '--plot', 'p', '--csv', 'c']); "
        "print('heavy:', {'torch', 'hydra', 'tensorboard'} & sys.modules.keys()); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=outputs.parent)
    assert done.stdout.endswith("heavy: set()\n")


def test_a_thousand_runs_are_compared(tmp_path: Path, capsys: Capture) -> None:
    template = write_run(tmp_path / "template", "F", 0)
    config, result = ((template / name).read_text() for name in ("config.yaml", "result.json"))
    rows = (template / "metrics.jsonl").read_text()
    for number in range(100):
        for seed in range(10):
            folder = tmp_path / "outputs" / "arm" / f"{number:010d}-s{seed}"
            folder.mkdir(parents=True)
            (folder / "config.yaml").write_text(
                config.replace("seed: 0", f"seed: {seed}").replace("lr: 0.01", f"lr: {number + 1}")
            )
            (folder / "result.json").write_text(
                result.replace('"F"', f'"{number:010d}"').replace('"seed": 0', f'"seed": {seed}')
                .replace("0.9", f"0.{100 * seed + number + 1:04d}")
            )  # fmt: skip
            (folder / "metrics.jsonl").write_text(rows)
            seal_again(folder)
    out = said(capsys, str(tmp_path / "outputs"))
    assert out.startswith("1000 finished runs in 100 arms\n")
