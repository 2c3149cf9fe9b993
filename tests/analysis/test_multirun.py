"""The list of runs in a multirun's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.analysis.synthetic import write_run

from bnexp.analysis.multirun import note_run, with_listed_runs
from bnexp.analysis.runs import find_runs


@pytest.fixture
def multirun(tmp_path: Path) -> Path:
    """A multirun of seeds 0 and 1; a run of seed 2 lies beside theirs."""
    folder = tmp_path / "outputs" / "multirun" / "today"
    folder.mkdir(parents=True)
    for seed in (0, 1, 2):
        run = write_run(tmp_path / "outputs", seed=seed)
        if seed < 2:
            note_run(folder, run)
    return folder


def seeds(path: Path) -> list[int]:
    return [run.seed for run in find_runs(with_listed_runs([path]))[0]]


def test_a_multirun_stands_for_the_runs_that_it_lists(multirun: Path) -> None:
    assert seeds(multirun) == [0, 1]


def test_the_list_moves_with_the_output_folder(multirun: Path, tmp_path: Path) -> None:
    (tmp_path / "outputs").rename(tmp_path / "archive")
    assert seeds(tmp_path / "archive" / "multirun" / "today") == [0, 1]


def test_paths_may_be_relative(multirun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    note_run(multirun, Path("outputs/arm/0123456789-s2"))
    assert seeds(Path("outputs/multirun/today")) == [0, 1, 2]


def test_a_run_that_never_began_or_is_gone_is_passed_over(multirun: Path, tmp_path: Path) -> None:
    note_run(multirun, tmp_path / "outputs" / "arm" / "0123456789-s3")
    assert seeds(multirun) == [0, 1]


def test_another_folder_stands_for_itself(tmp_path: Path) -> None:
    assert with_listed_runs([tmp_path]) == [tmp_path]
