"""The state of each run, from folders written as text."""

import json
import os
import shutil
import socket

import pytest
import yaml
from filelock import FileLock
from tests.analysis.synthetic import write_run
from tests.sealing import break_seal

from bnexp.analysis.states import find_states, state
from bnexp.training.owner import owned


def unfinished(root, **words):
    """A run without a result."""
    return break_seal(write_run(root, **words))


@pytest.mark.parametrize("status", ["done", "diverged", "failed", "interrupted"])
def test_a_run_with_a_result_has_its_status(tmp_path, status):
    found = state(write_run(tmp_path, status=status))
    assert (found.status, found.step, found.num_steps, found.owner) == (status, 20, 20, None)


def test_a_run_with_neither_result_nor_owner_was_interrupted(tmp_path):
    folder = unfinished(tmp_path, training__epochs=5)
    found = state(folder)
    assert (found.status, found.step, found.num_steps) == ("interrupted", 20, 50)


def test_a_run_is_running_while_its_owner_lives(tmp_path):
    folder = unfinished(tmp_path)
    with owned(folder / ".owner.json"):
        found = state(folder)
        assert (found.status, found.owner.pid) == ("running", os.getpid())
    assert state(folder).status == "interrupted"


def test_a_dead_owner_is_none(tmp_path):
    folder = unfinished(tmp_path)
    note = {"host": socket.gethostname(), "pid": os.getpid(), "started": "1"}
    (folder / ".owner.json").write_text(json.dumps(note))
    assert state(folder).status == "interrupted"


def test_an_owner_on_another_machine_is_known_by_the_lock(tmp_path):
    folder = unfinished(tmp_path)
    (folder / ".owner.json").write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1"}))
    assert state(folder).status == "interrupted"
    with FileLock(folder / ".lock"):
        assert state(folder).status == "running"


def test_runs_that_a_study_asks_for_and_that_have_not_begun_are_queued(tmp_path):
    done = write_run(tmp_path)
    study = tmp_path / "studies" / "mine"
    study.mkdir(parents=True)
    runs = ["arm/0123456789-s0", "arm/0123456789-s1"]
    (study / "study.yaml").write_text(yaml.safe_dump({"arms": {"a": {"runs": runs}, "b": {"runs": runs[1:]}}}))
    found = find_states([tmp_path])
    assert [(one.path, one.status) for one in found] == [(done, "done"), (tmp_path / runs[1], "queued")]
    assert [one.status for one in find_states([study])] == ["done", "queued"]


def test_a_multirun_names_its_runs(tmp_path):
    done = write_run(tmp_path)
    (tmp_path / "multirun" / "now").mkdir(parents=True)
    (tmp_path / "multirun" / "now" / "runs.txt").write_text("../../arm/0123456789-s0\n../../arm/0123456789-s1\n")
    found = find_states([tmp_path / "multirun"])
    assert [(one.path, one.status) for one in found] == [(done, "done"), (done.parent / "0123456789-s1", "queued")]


def test_folders_of_other_programs_are_no_runs(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").touch()
    folder = write_run(tmp_path)
    shutil.copytree(break_seal(write_run(tmp_path, seed=1)), tmp_path / "copy")
    shutil.rmtree(folder.parent / "0123456789-s1")
    assert [one.path for one in find_states([tmp_path])] == [folder]


def test_a_finished_run_is_known_wherever_its_folder_was_moved(tmp_path):
    moved = write_run(tmp_path).rename(tmp_path / "the best one")
    assert [(one.path, one.status) for one in find_states([tmp_path])] == [(moved, "done")]


@pytest.mark.parametrize("name", ["config.yaml", "result.json", "metrics.jsonl"])
def test_a_finished_run_with_an_edited_file_is_damaged(tmp_path, name):
    file = write_run(tmp_path) / name
    assert [one.status for one in find_states([tmp_path])] == ["done"]
    file.write_bytes(file.read_bytes() + b" ")
    [found] = find_states([tmp_path])
    assert (found.status, str(file) in found.error) == ("damaged", True)


def test_a_run_before_its_first_evaluation_has_no_number_of_steps(tmp_path):
    folder = unfinished(tmp_path)
    (folder / "metrics.jsonl").unlink()
    found = state(folder)
    assert (found.step, found.num_steps, found.row) == (0, None, {})


@pytest.mark.parametrize("name", ["config.yaml", "result.json", "metrics.jsonl", "study.yaml"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"null", b'{"arms": 3}'])
def test_damaged_files_stop_nothing(tmp_path, name, content):
    folder = break_seal(write_run(tmp_path))
    place = tmp_path / "studies" / "mine" if name == "study.yaml" else folder
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(content)
    assert [one.status for one in find_states([tmp_path])] == ["interrupted"]
