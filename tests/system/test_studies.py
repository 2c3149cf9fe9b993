"""A study gives the same numbers wherever it runs and however often it is killed."""

from __future__ import annotations

import csv
import importlib
import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bnexp.cli.main import main
from tests.conftest import command

STUDY = {
    "question": "Does the norm matter?",
    "base": [
        "model.depth=3", "model.width=4", "init=he", "dataset.subset=0.2", "training.batch_size=16",
        "training.epochs=4", "training.eval_every=0.25",
    ],
    "factors": {"norm": ["none", "batch"]},
    "baseline": "norm=none",
    "seeds": 3,
    "target": {"value": 0.3},
    "claims": [
        {"text": "BN is better", "kind": "difference", "a": "norm=batch", "b": "norm=none", "metric": "test/accuracy",
         "low": 0.0},
    ],
}  # fmt: skip
WORDS = ("study", "small", "--config-dir", "mine")
LAUNCHERS = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra.launcher.timeout_min=5"],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2"],
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the study has been run by the basic launcher, in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(new_place(folder))
        assert main([*WORDS, "hydra/launcher=basic"]) == 0
    return folder


def new_place(folder: Path) -> Path:
    (folder / "mine" / "study").mkdir(parents=True)
    (folder / "mine" / "study" / "small.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start the study; what it says goes to a file, for which nobody has to wait until the last worker has ended."""
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(command(*WORDS, *words), cwd=folder, stdout=said, stderr=said)


def results(folder: Path) -> list[dict[str, str]]:
    """The rows of ``results.csv``, but for the seconds."""
    with (folder / "outputs/studies/small/results.csv").open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in csv.DictReader(file)]


def done(folder: Path) -> dict[str, tuple[int, ...]]:
    """Each finished run with what its result would not keep if it were written again."""
    found = {}
    for path in folder.glob("outputs/*/*/result.json"):
        if json.loads(path.read_text())["status"] == "done":
            stat = path.stat()
            found[str(path.parent.relative_to(folder))] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return found


def rows(folder: Path) -> dict[str, list[str]]:
    """The complete lines of each run's record: they hold the seconds, so no line comes twice by training twice."""
    files = folder.glob("outputs/*/*/metrics.jsonl")
    return {str(path.parent.relative_to(folder)): path.read_text().split("\n")[:-1] for path in files}


@pytest.mark.parametrize(
    "launcher", ["joblib", *(pytest.param(name, marks=pytest.mark.slow) for name in ("submitit_local", "ray"))]
)
def test_every_launcher_gives_the_numbers_of_the_basic_one(launcher: str, undisturbed: Path, tmp_path: Path) -> None:
    module = f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher"
    try:
        importlib.import_module(module)
    except ImportError:
        pytest.skip(f"{module} is not installed")
    process = start(new_place(tmp_path), f"hydra/launcher={launcher}", *LAUNCHERS[launcher])
    assert process.wait(300) == 0, (tmp_path / "said.txt").read_text()
    assert results(tmp_path) == results(undisturbed)
    assert len(results(tmp_path)) == 6


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_study_that_is_killed_at_any_moment_trains_nothing_twice(
    kills: int, undisturbed: Path, tmp_path: Path
) -> None:
    new_place(tmp_path)
    moments: list[float] = []
    finished: dict[str, tuple[int, ...]] = {}
    recorded: dict[str, list[str]] = {}
    for _ in range(kills):
        process = start(tmp_path)
        wait_for_news(tmp_path, recorded, process)  # before, there is nothing that could be lost
        moments.append(random.uniform(0, 0.3))
        time.sleep(moments[-1])
        assert process.poll() is None, f"ended by itself before the moments {moments}"
        process.kill()
        process.wait()
        assert finished.items() <= done(tmp_path).items()
        assert not lost(recorded, rows(tmp_path)), moments
        finished, recorded = done(tmp_path), rows(tmp_path)
    process = start(tmp_path)  # though workers of the one before may still be about to end
    assert process.wait(120) == 0, (tmp_path / "said.txt").read_text()
    assert finished.items() <= done(tmp_path).items(), "a finished run was trained again"
    assert not lost(recorded, rows(tmp_path)), moments
    assert results(tmp_path) == results(undisturbed), moments
    assert steps(tmp_path) == steps(undisturbed), moments


def lost(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """The runs that trained again what was recorded before; a last row may be, if it is ahead of its checkpoint."""
    return [run for run, lines in before.items() if lines and after[run][: len(lines) - 1] != lines[:-1]]


def steps(folder: Path) -> dict[str, list[int]]:
    """The steps of each run's evaluations: each once."""
    found = {run: [json.loads(line)["step"] for line in lines] for run, lines in rows(folder).items()}
    assert all(max(Counter(each).values()) == 1 for each in found.values())
    return found


def wait_for_news(folder: Path, recorded: dict[str, list[str]], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not any({*lines} - {*recorded.get(run, [])} for run, lines in rows(folder).items()):
        assert process.poll() is None, (folder / "said.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_tensorboard_shows_what_curves_csv_says(undisturbed: Path) -> None:
    study = undisturbed / "outputs/studies/small"
    with (study / "curves.csv").open(encoding="utf-8", newline="") as file:
        table = [*csv.DictReader(file)]
    reduce = {"mean": np.mean, "lower": np.min, "upper": np.max}
    for arm in ("norm=none", "norm=batch"):
        mine = [row for row in table if row["arm"] == arm]
        steps = sorted({int(row["step"]) for row in mine})
        for series, function in reduce.items():
            events = EventAccumulator(str(study / "tensorboard" / arm / series)).Reload()
            for tag in ("val/accuracy", "val/loss", "train/accuracy", "train/loss"):
                expected = [function([float(row[tag]) for row in mine if int(row["step"]) == step]) for step in steps]
                assert [event.step for event in events.Scalars(tag)] == steps
                assert [event.value for event in events.Scalars(tag)] == pytest.approx(expected)
    assert {path.name for path in (study / "tensorboard").iterdir()} == {"norm=none", "norm=batch"}
