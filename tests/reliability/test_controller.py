"""The process that controls a study may be killed at any moment: nothing is trained twice, and the numbers stay."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.system.small_study import WORDS, new_place, results, start

from bnexp.cli.main import main

NEVER = 1000


@pytest.mark.parametrize(("seeds", "kills"), [(3, 1), pytest.param(12, NEVER, marks=pytest.mark.slow)])
def test_a_study_that_is_killed_at_random_moments_trains_nothing_twice(
    seeds: int, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six runs of which one attempt is killed, and 24 of which every attempt is, until one comes to its end."""
    undisturbed, killed = new_place(tmp_path / "undisturbed"), new_place(tmp_path / "killed")
    monkeypatch.chdir(undisturbed)
    assert main([*WORDS, f"seeds={seeds}", "hydra/launcher=basic"]) == 0
    moments: list[float] = []
    finished: dict[str, tuple[int, ...]] = {}
    recorded: dict[str, list[str]] = {}
    while True:
        process = start(killed, f"seeds={seeds}")  # though workers of the one before may still be about to end
        if len(moments) < kills and has_news(killed, recorded, process):
            moments.append(random.uniform(0, 0.3))
            time.sleep(moments[-1])
            process.kill()
        status = process.wait(120)
        assert finished.items() <= done(killed).items(), f"a finished run was trained again: {moments}"
        assert not lost(recorded, rows(killed)), moments
        finished, recorded = done(killed), rows(killed)
        if status >= 0:
            break
    assert status == 0, (killed / "said.txt").read_text()
    assert moments, "ended by itself before it was killed"
    assert len(finished) == 2 * seeds
    assert results(killed) == results(undisturbed), moments
    assert steps(killed) == steps(undisturbed), moments


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


def lost(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """The runs that trained again what was recorded before; a last row may be, if it is ahead of its checkpoint."""
    return [run for run, lines in before.items() if lines and after[run][: len(lines) - 1] != lines[:-1]]


def steps(folder: Path) -> dict[str, list[int]]:
    """The steps of each run's evaluations: each once."""
    found = {run: [json.loads(line)["step"] for line in lines] for run, lines in rows(folder).items()}
    assert all(max(Counter(each).values()) == 1 for each in found.values())
    return found


def has_news(folder: Path, recorded: dict[str, list[str]], process: subprocess.Popen[bytes]) -> bool:
    """Wait for a row that was not there; before, there is nothing that could be lost. False where the study ends."""
    deadline = time.monotonic() + 60
    while not any({*lines} - {*recorded.get(run, [])} for run, lines in rows(folder).items()):
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return True
