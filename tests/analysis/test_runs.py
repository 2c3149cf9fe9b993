"""Reading run folders: whole ones, damaged ones, foreign ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.synthetic import CONFIG, write_run
from tests.sealing import seal_by_hand

from bnexp.analysis.runs import NoRunError, find_runs, read_run


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = write_run(tmp_path, seed=3, accuracy=0.75, norm="batch", norm__eps=1e-5)
    run = read_run(folder)
    assert (run.path, run.status, run.seed) == (folder, "done", 3)
    assert run.metrics == {"test/accuracy": 0.75, "test/loss": 0.3, "best/epoch": 2.0}
    assert [row["val/accuracy"] for row in run.rows] == [0.375, 0.75]


def test_values_are_named_as_on_the_command_line(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, seed=3, norm="batch", norm__eps=1e-5))
    assert run.values == {
        **CONFIG["choices"],
        "norm": "batch",
        "norm.eps": 1e-5,
        "seed": 3,
        "dataset.subset": 1.0,
        "model.depth": 3,
        "optimizer.lr": 0.01,
        "training.epochs": 2,
        "training.device": "auto",
    }


def test_runs_are_found_at_and_below_the_paths_each_once_in_order(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / sub, seed=seed) for sub, seed in (("b", 0), ("a", 1), ("a", 0))]
    (tmp_path / "link").symlink_to(tmp_path / "a")
    paths = [tmp_path, tmp_path / "a", folders[0], tmp_path / "link", tmp_path / "b" / ".." / "a"]
    runs, left_out = find_runs(paths)
    assert len(runs) == 3
    assert left_out == []
    assert [run.path.resolve() for run in find_runs([tmp_path])[0]] == sorted(folders)


def test_a_run_is_found_from_inside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_run(tmp_path, seed=5))
    runs, left_out = find_runs([Path()])
    assert ([run.seed for run in runs], left_out) == ([5], [])


def test_a_failed_run_is_a_run(tmp_path: Path) -> None:
    write_run(tmp_path, status="failed")
    assert [run.status for run in find_runs([tmp_path])[0]] == ["failed"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("result.json", None, "no result.json"),
        ("config.yaml", None, "no config.yaml"),
        ("result.json", "", "not sealed"),
        ("result.json", '{"status": "do', "not sealed"),
        ("result.json", "[]", "not sealed"),
        ("result.json", '{"fingerprint": "0123456789", "seed": 0}', "not sealed"),
        ("config.yaml", "a: [", "damaged (ParserError: "),
        ("config.yaml", "defaults: [norm]", "damaged (KeyError: 'choices')"),
        ("config.yaml", b"seed: \xff", "damaged (ReaderError: "),
        ("config.yaml", "seed: 0", "damaged (KeyError: 'choices')"),
        ("config.yaml", "{seed: 0, choices: {1: a}}", "damaged (values of a kind"),
    ],
)
def test_a_damaged_or_foreign_folder_is_named_and_left_out(
    tmp_path: Path, file: str, content: str | bytes | None, message: str
) -> None:
    damaged, whole = write_run(tmp_path, status="failed"), write_run(tmp_path, seed=1)
    if content is None:
        (damaged / file).unlink()
    else:
        (damaged / file).write_bytes(content.encode() if isinstance(content, str) else content)
    runs, [line] = find_runs([tmp_path])
    assert [run.path for run in runs] == [whole]
    assert line.startswith(f"{damaged}: {message}")
    assert "\n" not in line


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"test/accuracy": "0.9"}},
        {"metrics": {"test/accuracy": float("nan")}},
        {"metrics": {"val/accuracy": 0.9}},
        {"metrics": None},
        {"seconds": 3},
        {"environment": ["torch"]},
        {"seed": 1},
        {"fingerprint": "another"},
    ],
)
def test_a_result_that_bnexp_would_not_write_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = write_run(tmp_path)
    edit(folder / "result.json", **changes)
    seal_by_hand(folder, "0123456789", 0)
    with pytest.raises(NoRunError, match=re.escape(str(folder))):
        read_run(folder)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    (folder / "result.json").unlink()
    (folder / "result.json").mkdir()
    [], [line] = find_runs([tmp_path])
    assert line.startswith(f"{folder / 'result.json'}: cannot be read (")


def test_a_folder_that_was_renamed_or_moved_as_a_whole_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path, seed=3)
    assert read_run(folder.rename(tmp_path / "my best run")).seed == 3


def test_yaml_that_asks_for_code_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, status="failed")
    (folder / "config.yaml").write_text(f"!!python/object/apply:os.mkdir ['{tmp_path / 'made'}']")
    with pytest.raises(NoRunError, match="ConstructorError"):
        read_run(folder)
    assert not (tmp_path / "made").exists()


def test_reading_runs_needs_no_torch() -> None:
    code = "import sys, bnexp.analysis.runs; print({'torch', 'hydra', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("metric", "step"),
    [("test/accuracy", 1 / 359), ("best/test/accuracy", 1 / 359), ("val/accuracy", 1 / 143), ("test/loss", 0)],
)
def test_an_accuracy_moves_in_steps_of_one_example(tmp_path: Path, metric: str, step: float) -> None:
    run = read_run(write_run(tmp_path, examples={"train": 1295, "val": 143, "test": 359}))
    assert run.resolution(metric) == step


def test_a_split_without_examples_is_damage(tmp_path: Path) -> None:
    with pytest.raises(NoRunError, match="damaged"):
        read_run(write_run(tmp_path, examples={"test": 0}))
