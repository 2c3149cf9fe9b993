"""Several processes work together whatever the folder for temporary files is: a socket's path ends at 108 bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bnexp.training.device import num_cores
from tests.conftest import CommandLine

SWEEP = [
    "train", "-m", "seed=0,1", "dataset=two_features", "dataset.num_examples=100", "model=mlp", "model.width=4",
    "training.epochs=1", "training.device=cpu", "training.threads=1",
]  # fmt: skip
MEET = """
import multiprocessing, sys, tempfile
from multiprocessing import util
from bnexp.errors import ConfigError
from bnexp.sockets import make_room

usual = tempfile.gettempdir()
make_room()
assert tempfile.gettempdir() == usual
context = multiprocessing.get_context("forkserver")
process = context.Process(target=print, args=("met",))
process.start()
process.join()
print(util.get_temp_dir())
"""


def folder_of(length: int, below: Path) -> Path:
    """Make a folder whose path has ``length`` bytes, or as few as the place allows."""
    below /= "x" * max(length - len(str(below)) - 1, 1)
    below.mkdir()
    return below


@pytest.mark.skipif(num_cores() < 2, reason="with one core the runs are trained in one process")
@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]], ids=["own", "joblib"])
def test_a_sweep_with_two_processes_works_with_a_long_tmpdir(
    bnexp: CommandLine, tmp_path: Path, launcher: list[str]
) -> None:
    long = folder_of(max(120, len(str(tmp_path)) + 20), tmp_path)
    done = bnexp(*SWEEP, *launcher, env={"TMPDIR": str(long)})
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert len(list(tmp_path.glob("outputs/*/*/result.json"))) == 2


@pytest.mark.parametrize("length", [40, 60, 70, 71, 72, 73, 80, 90, 108, 120, 200])
def test_processes_meet_with_a_tmpdir_of_any_length_and_leave_nothing(tmp_path: Path, length: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder := folder_of(length, tmp_path)))
        done = subprocess.run([sys.executable, "-c", MEET], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, place = done.stdout.split()
    assert told == "met"
    assert not Path(place).exists()
    assert list(folder.iterdir()) == []


def test_without_any_short_folder_there_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(folder_of(150, tmp_path)))
    script = "import bnexp.sockets as s; s._has_room = lambda folder: False\n" + MEET
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "is too long for the sockets of several processes; name a folder of at most" in done.stderr.splitlines()[-1]
