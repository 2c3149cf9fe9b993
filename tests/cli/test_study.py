"""`bnexp study` as a user meets it: run, stop, go on, judge."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.conftest import CommandLine, command

from bnexp.cli.main import main

SMALL = ["model.depth=3", "model.width=4", "dataset.subset=0.2", "training.batch_size=32", "training.eval_every=0.5"]
STUDY = {
    "question": "Does the norm matter?",
    "source": ["C3"],
    "base": [*SMALL, "training.epochs=3", "init=he"],
    "arms": {"=cmd()|`x`": ["norm=batch", "optimizer.lr=0.1"]},
    "factors": {"norm": ["none", "batch"], "optimizer.lr": [0.01, 0.1]},
    "exclude": [{"norm": "none", "optimizer.lr": 0.01}],
    "baseline": "norm=none optimizer.lr=0.1",
    "seeds": 2,
    "target": {"value": 0.3},
    "claims": [
        {
            "text": "BN is better",
            "kind": "difference",
            "a": "norm=batch optimizer.lr=0.1",
            "b": "norm=none optimizer.lr=0.1",
            "metric": "test/accuracy",
            "low": 0.0,
        }
    ],
}
BASIC = "hydra/launcher=basic"


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that run a small study of the user's own."""
    (tmp_path / "mine" / "study").mkdir(parents=True)
    (tmp_path / "mine" / "study" / "small.yaml").write_text("# Small\n" + yaml.safe_dump(STUDY))
    monkeypatch.chdir(tmp_path)
    return ["study", "small", "--config-dir", "mine"]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in this process, which saves two seconds a call."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        status = main(words)
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(words, status, captured.out, captured.err)

    return call


def table(path: Path) -> list[dict[str, str]]:
    """The rows of ``results.csv``, but for the seconds."""
    with (path / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]


def finished(folder: Path) -> list[Path]:
    return [*folder.glob("*/*/result.json")]


def test_a_study_runs_judges_and_is_not_repeated(here: CommandLine, words: list[str], tmp_path: Path) -> None:
    done = here(*words, BASIC)
    assert done.returncode == 0, done.stderr
    assert "6 of 6 runs to do" in done.stderr
    assert "BN is better" in done.stdout
    folder = tmp_path / "outputs" / "studies" / "small"
    assert {path.name for path in folder.iterdir()} >= {
        "curves.csv", "figures", "launches.jsonl", "report.html", "report.md", "results.csv", "study.yaml",
        "tensorboard", "verdicts.json",
    }  # fmt: skip
    assert f"report: {Path('outputs/studies/small/report.html')}" in done.stdout
    assert "Seconds were measured with one run at a time." in (folder / "report.md").read_text()
    rows = table(folder)
    assert [(row["arm"], row["seed"]) for row in rows[:3]] == [
        ("'=cmd()|`x`", "0"), ("'=cmd()|`x`", "1"), ("norm=none optimizer.lr=0.1", "0"),
    ]  # fmt: skip
    assert len(rows) == 8
    assert {row["status"] for row in rows} == {"done"}
    assert rows[2]["norm"] == "none"
    [verdict] = json.loads((folder / "verdicts.json").read_text())["verdicts"]
    cells = [row for row in rows if row["optimizer.lr"] == "0.1"]
    means = {
        norm: sum(float(row["test/accuracy"]) for row in cells if row["norm"] == norm) / 2 for norm in ("none", "batch")
    }
    assert verdict["estimate"] == pytest.approx(means["batch"] - means["none"])
    arm = yaml.safe_load((folder / "study.yaml").read_text())["arms"]["=cmd()|`x`"]
    assert arm["parameters"] > 0
    assert all((tmp_path / "outputs" / run / "result.json").exists() for run in arm["runs"])
    times = {path: path.stat().st_mtime_ns for path in finished(tmp_path / "outputs")}
    again = here(*words, BASIC)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in finished(tmp_path / "outputs")} == times
    assert table(folder) == rows


def test_a_dry_run_writes_nothing_and_estimates(here: CommandLine, words: list[str], tmp_path: Path) -> None:
    done = here(*words, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "6 runs to do: about " in done.stdout
    assert "outputs/digits-convnet-he-none-momentum/" in done.stdout
    assert not (tmp_path / "outputs").exists()


def test_more_seeds_keep_what_is_done(here: CommandLine, words: list[str], tmp_path: Path) -> None:
    assert here(*words, BASIC, "seeds=1").returncode == 0
    done = here(*words, BASIC)
    assert done.returncode == 0, done.stderr
    assert "3 of 6 runs to do" in done.stderr
    assert len(finished(tmp_path / "outputs")) == 6


def test_a_failed_run_is_named_and_repeated_alone(
    here: CommandLine, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "schedule").mkdir()
    (tmp_path / "mine" / "schedule" / "bad.yaml").write_text("_target_: bad_schedule.bad\n_partial_: true\n")
    (tmp_path / "bad_schedule.py").write_text(
        "from pathlib import Path\n"
        "def bad(step, num_steps):\n"
        "    if step == 5 and not Path('once').exists():\n"
        "        Path('once').touch()\n"
        "        raise SystemExit('out of luck')\n"
        "    return 1.0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BNEXP_PLUGINS", "bad_schedule")
    first = here(*words, BASIC, "schedule=bad")
    assert first.returncode == 1
    assert first.stdout.count("SystemExit: out of luck") == 1
    [failed] = [path.parent for path in finished(tmp_path / "outputs") if '"failed"' in path.read_text()]
    assert f"no answer   {failed.relative_to(tmp_path)}  SystemExit: out of luck" in first.stdout
    others = {path: path.stat().st_mtime_ns for path in finished(tmp_path / "outputs") if path.parent != failed}
    assert len(others) == 5
    assert "1 runs have no answer; the same command runs them alone." in first.stdout
    second = here(*words, BASIC, "schedule=bad")
    assert second.returncode == 0, second.stderr
    assert "1 of 6 runs to do" in second.stderr
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_a_damaged_run_is_named(here: CommandLine, words: list[str], tmp_path: Path) -> None:
    assert here(*words, BASIC).returncode == 0
    [folder, *_] = (path.parent for path in finished(tmp_path / "outputs"))
    (folder / "metrics.jsonl").write_text("")
    done = here(*words, BASIC)
    assert done.returncode == 1
    assert f"{folder.name}/metrics.jsonl: is not what was sealed" in done.stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_study_says_so(number: signal.Signals, status: int, words: list[str], tmp_path: Path) -> None:
    with started(words, tmp_path) as process:
        wait_for(lambda: finished(tmp_path / "outputs"), process)
        # As a terminal does for Ctrl-C, to the workers too; SIGTERM comes from `kill`, to the controller alone.
        os.killpg(process.pid, number) if number is signal.SIGINT else process.send_signal(number)
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == status, stderr
    assert "Traceback" not in stderr
    assert "of 6 runs are done; the same command resumes" in stderr


def test_two_controllers_share_a_study(here: CommandLine, words: list[str], tmp_path: Path) -> None:
    with started([*words, BASIC], tmp_path) as other:
        wait_for(lambda: [*(tmp_path / "outputs").glob("*/*/.lock")], other)
        done = here(*words, BASIC)
        stdout, stderr = other.communicate(timeout=300)
    assert (done.returncode, other.returncode) == (0, 0), done.stderr + stderr
    assert done.stdout == stdout


MISTAKES = {
    "study": "bnexp: study: name one study (",
    "study case_stduy": "bnexp: case_stduy: there is no such study; did you mean 'case_study'?",
    "study case_study norm=layer": "bnexp: norm=layer: the arms of study case_study set norm themselves",
    "study case_study --dry": "bnexp: --dry: bnexp study has no such flag; did you mean '--dry-run'?",
    "study case_study hydra/launcher=joblip": "bnexp: hydra/launcher=joblip: there is no such launcher",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_costs_a_line(line: str, here: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = here(*line.split())
    assert done.returncode == 2
    # A busy machine says how far the planning is.
    [said] = [text for text in done.stderr.splitlines() if "composing and checking" not in text]
    assert said.startswith(MISTAKES[line])
    assert list(tmp_path.iterdir()) == []


def started(words: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*words), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(condition, process: subprocess.Popen[str], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
