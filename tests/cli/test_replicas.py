"""``bnexp train training.replicas=K``: what a person sees, and what is left in the folders."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import CommandLine, command
from tests.sealing import break_seal

from bnexp.cli import multirun
from bnexp.cli.main import main
from bnexp.training.loop import Training

QUICK = ["dataset=two_features", "dataset.num_examples=300", "model=mlp", "model.hidden=[4]", "training.device=cpu"]
QUICK += ["training.epochs=3"]
NAME = "two_features-mlp-default-none-momentum"


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["train", *QUICK, *words])


def results() -> dict[int, str]:
    """The status of the run of each seed."""
    found = [json.loads(path.read_text()) for path in Path("outputs").glob("*/*/result.json")]
    return {result["seed"]: result["status"] for result in sorted(found, key=lambda result: result["seed"])}


def test_each_seed_has_its_line_and_the_table_its_mean(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("training.replicas=3", "seed=5") == 0
    out = capsys.readouterr().out.splitlines()
    assert results() == {5: "done", 6: "done", 7: "done"}
    for line, seed in zip(out[:3], (5, 6, 7), strict=True):
        assert line.startswith(f"done        {NAME}/")
        assert f"-s{seed}  test accuracy" in line
    assert "mean ± sd over seeds" in out[3]
    [row] = [line for line in out if "(all)" in line]
    assert [cell.strip() for cell in row.split("│")][2] == "3"
    assert out[-1] == f"next:       bnexp compare outputs/{NAME}"
    assert main(["compare", f"outputs/{NAME}"]) == 0
    assert "3 finished runs in 1 arm" in capsys.readouterr().out


def test_replicas_are_the_runs_that_each_seed_has_by_itself(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("training.replicas=3") == 0
    capsys.readouterr()
    assert train("-m", "seed=range(3)") == 0
    out = capsys.readouterr().out
    assert out.count("(finished before; not repeated)") == 3
    assert len(results()) == 3


def test_finished_replicas_are_shown_and_only_the_others_trained(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("training.replicas=2") == 0
    stamps = {path: path.stat().st_mtime_ns for path in Path("outputs").glob("*/*/result.json")}
    capsys.readouterr()
    assert train("training.replicas=4") == 0
    out = capsys.readouterr().out
    assert out.count("(finished before; not repeated)") == 2
    assert results() == dict.fromkeys(range(4), "done")
    assert train("training.replicas=4") == 0
    assert capsys.readouterr().out.count("(finished before; not repeated)") == 4
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert train("training.replicas=2", "rerun=true") == 0
    assert "(finished before; not repeated)" not in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns > stamp for path, stamp in stamps.items())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_interrupts_all_of_them_and_the_same_command_goes_on(
    number: signal.Signals,
    status: int,
    train: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate = Training._evaluate

    def killed(self: Training, losses: list[float], num_correct: int) -> object:
        if self.progress.num_evaluations == 1 and self.seed == 1:
            os.kill(os.getpid(), number)
        return evaluate(self, losses, num_correct)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_evaluate", killed)
        assert train("training.replicas=3") == status
    assert signal.getsignal(number) is before
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "interrupted; the same command resumes where it stopped"
    assert captured.err.count("classes   ") == 1  # the data are those of all replicas
    assert results() == dict.fromkeys(range(3), "interrupted")
    assert len([*Path("outputs").glob("*/*/checkpoint.pt")]) == 3
    assert train("training.replicas=3") == 0
    assert results() == dict.fromkeys(range(3), "done")
    assert len({len(path.read_text().splitlines()) for path in Path("outputs").glob("*/*/metrics.jsonl")}) == 1


def test_one_that_fails_has_its_error_in_its_line_and_status_1(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = Training._evaluate

    def failing(self: Training, losses: list[float], num_correct: int) -> object:
        if self.seed == 1:
            raise ValueError("what went wrong\nand more")
        return evaluate(self, losses, num_correct)

    monkeypatch.setattr(Training, "_evaluate", failing)
    assert train("training.replicas=3") == 1
    captured = capsys.readouterr()
    assert results() == {0: "done", 1: "failed", 2: "done"}
    assert "-s1  ValueError: what went wrong\n" in captured.out
    assert "1 failed" in captured.out
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.parametrize("words", [["training.replicas=3"], ["-m", "seed=0,1,2"]])
def test_one_whose_folder_cannot_be_used_is_named_and_the_others_are_trained(
    words: list[str], train: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(multirun, "runs_at_a_time", lambda num_jobs, on_cpu: 1)  # as with one core, or a GPU
    assert train("seed=1") == 0
    [result] = Path("outputs").glob("*/*/result.json")
    break_seal(result.parent)
    result.mkdir()
    assert train(*words) == 1
    captured = capsys.readouterr()
    assert captured.out.count("done  ") == 3  # that of the first command, and two of the second
    assert "-s1  ConfigError: " in captured.out
    assert "a file of the run belongs there; remove the folder" in captured.out
    assert "Traceback" not in captured.out + captured.err
    result.rmdir()
    assert train(*words) == 0
    assert results() == dict.fromkeys(range(3), "done")


WRONG = {
    "training.timeout=1e20": "training.timeout=1e+20 must be greater than 0 and at most 1000000000 or null",
    "training.replicas=0": "training.replicas=0 must be at least 1",
    "training.replicas=-3": "training.replicas=-3 must be at least 1",
    "training.replicas=2000": "training.replicas=2000 must be at most 1024",
    "training.replicas=1.5": "training.replicas=1.5 must be a whole number",
    "training.replicas=null": "training.replicas=null must be a whole number",
    "training.replicas=3 seed=-1": "seed=-1 must be at least 0",
    "training.replicas=3 optimizer.lr=-1": "optimizer.lr=-1 must be greater than 0",
    "training.graph=maybe": "training.graph=maybe must be one of auto, on, off",
    "training.replicas=2 training.graph=on": "training.graph=on needs a CUDA device, not cpu; use training.graph=auto",
    "-m training.replicas=2 seed=0,1": "training.replicas=2: seed=0 and seed=1 share seed 1; use seed=0,2",
    "-m training.replicas=3 seed=5,0,4": "training.replicas=3: seed=5 and seed=4 share seed 5; use seed=5,8",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_mistake_is_one_line_and_status_2(
    words: str, train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*words.split()) == 2
    captured = capsys.readouterr()
    assert captured.err == f"bnexp: {WRONG[words]}\n"
    assert captured.out == ""
    assert not [*tmp_path.iterdir()]


def test_a_study_says_how_its_seeds_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["study", "case_study", "training.replicas=3"]) == 2
    assert capsys.readouterr().err == (
        "bnexp: training.replicas=3: a study trains its seeds side by side by itself; say how many with seeds=N\n"
    )
    assert signal.getsignal(signal.SIGTERM) is before
    assert not [*tmp_path.iterdir()]


def test_a_multirun_of_replicas_trains_each_of_their_seeds(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("-m", "training.replicas=2", "seed=0,2", "norm=none,batch") == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split("│")[2].strip() for line in out if "norm=" in line] == ["4", "4"]
    assert results() == dict.fromkeys(range(4), "done")
    assert len([*Path("outputs").glob("*/*/result.json")]) == 8
    [place] = Path("outputs/multirun").iterdir()
    assert out[-1] == f"next:       bnexp compare {place}"
    assert main(["compare", str(place)]) == 0
    assert "8 finished runs in 2 arms" in capsys.readouterr().out


def test_a_pipe_gets_no_bar(bnexp: CommandLine) -> None:
    done = bnexp("train", *QUICK, "training.replicas=2")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["data", "classes"]
    assert "\x1b" not in done.stdout + done.stderr


def test_a_terminal_gets_a_bar_with_the_time_left(tmp_path: Path) -> None:
    reader, writer = pty.openpty()
    words = ["train", *QUICK, "training.epochs=150", "training.replicas=2"]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command(*words), cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    seen = b""
    try:
        while chunk := os.read(reader, 4096):
            seen += chunk
    except OSError:  # Linux' way to say that the other end is closed
        pass
    os.close(reader)
    assert process.wait() == 0
    text = seen.decode()
    assert "0 of 2 runs done, 2 running" in text
    assert " left" in text
