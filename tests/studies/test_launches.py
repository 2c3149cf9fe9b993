"""How many runs shared the machine is written down when they start, and read back whatever else is in the file."""

from __future__ import annotations

from pathlib import Path

from bnexp.studies.launch import Launcher
from bnexp.studies.launches import FILE, Launch, read_launches, record_launch


def launcher(name: str, at_a_time: int | None) -> Launcher:
    return Launcher(name, at_a_time, lambda jobs: [])


def test_launches_are_read_back_in_order(tmp_path: Path) -> None:
    record_launch(tmp_path, launcher("local", 4), 20)
    record_launch(tmp_path, launcher("local", 4), 3)
    record_launch(tmp_path, launcher("joblib", -1), 5)
    record_launch(tmp_path, launcher("submitit_slurm", None), 7)
    assert read_launches(tmp_path) == [
        Launch(20, 4, "local"),
        Launch(3, 3, "local"),
        Launch(5, None, "joblib"),
        Launch(7, None, "submitit_slurm"),
    ]


def test_a_damaged_line_is_left_out(tmp_path: Path) -> None:
    record_launch(tmp_path, launcher("basic", 1), 5)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"runs": 3}\n[]\nnull\n{"runs"')
    assert read_launches(tmp_path) == [Launch(5, 1, "basic")]
    assert read_launches(tmp_path / "nowhere") == []
