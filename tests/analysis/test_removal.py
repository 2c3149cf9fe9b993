"""What is removed is what was named, and nothing else."""

import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from tests.analysis.synthetic import write_run
from tests.sealing import seal_again

from bnexp.analysis.removal import find_removable, remove
from bnexp.locking import acquire
from bnexp.training.owner import owned

FINGERPRINTS = {status: f"{number:010d}" for number, status in enumerate(["done", "diverged", "failed", "interrupted"])}


@pytest.fixture
def outputs(tmp_path):
    for status, fingerprint in FINGERPRINTS.items():
        write_run(tmp_path / "outputs", fingerprint, status=status)
    return tmp_path / "outputs"


def left(outputs):
    return sorted(path.name for path in outputs.glob("arm/*"))


@pytest.mark.parametrize("status", FINGERPRINTS)
def test_only_runs_of_the_status_that_was_asked_for_are_removed(outputs, status):
    found = find_removable([outputs], [status])
    assert [one.kind for one in found] == [status]
    assert [remove(one) for one in found] == [None]
    assert left(outputs) == sorted(f"{name}-s0" for other, name in FINGERPRINTS.items() if other != status)


def test_the_size_is_that_of_the_files(outputs):
    [one] = find_removable([outputs], ["failed"])
    assert one.num_bytes == sum(file.stat().st_size for file in one.path.iterdir())


def test_the_folder_of_an_arm_goes_with_its_last_run(tmp_path):
    write_run(tmp_path, status="failed")
    [one] = find_removable([tmp_path], ["failed"])
    assert remove(one) is None
    assert list(tmp_path.iterdir()) == []


def test_files_of_somebody_else_stay_and_are_named(outputs):
    [one] = find_removable([outputs], ["failed"])
    (one.path / "notes.txt").write_text("mine")
    assert "did not write, which stay: notes.txt" in remove(one)
    assert [path.name for path in one.path.iterdir()] == ["notes.txt"]


def test_a_run_that_is_being_trained_is_not_removed(outputs):
    [one] = find_removable([outputs], ["failed"])
    before = sorted(one.path.iterdir())
    with FileLock(one.path / ".lock"):
        assert "another process is training it" in remove(one)
    assert sorted(path for path in one.path.iterdir() if path.name != ".lock") == before
    (one.path / "result.json").unlink()
    with owned(one.path / ".owner.json"):
        assert [found.path for found in find_removable([outputs], ["failed", "interrupted"])] != [one.path]


@pytest.mark.parametrize("note", [None, "notes.txt"])
def test_of_the_processes_that_begin_a_run_while_it_is_removed_one_trains_it(outputs, monkeypatch, note):
    """One tries at each moment at which something of the folder goes, and trains as soon as it is let in."""
    [one] = find_removable([outputs], ["failed"])
    if note is not None:
        (one.path / note).touch()
    trained = []
    with ExitStack() as training:

        def begin() -> None:
            with suppress(Timeout):
                training.enter_context(acquire(one.path / ".lock", timeout=0))
                trained.append(True)
                (one.path / "config.yaml").write_text("new")

        for name in ("unlink", "rmdir", "iterdir"):
            before = getattr(Path, name)
            monkeypatch.setattr(Path, name, lambda *words, _do=before, **named: (begin(), _do(*words, **named))[1])
        remove(one)
        monkeypatch.undo()
        begin()
        assert (one.path / "config.yaml").read_text() == "new"
        assert len(trained) == 1


def test_a_run_that_was_finished_in_the_meantime_is_not_removed(outputs):
    [one] = find_removable([outputs], ["failed"])
    result = (one.path / "result.json").read_text()
    (one.path / "result.json").write_text(result.replace('"failed"', '"done"'))
    seal_again(one.path)
    assert "is done by now" in remove(one)
    assert (one.path / "result.json").exists()


def test_no_link_is_followed_and_nothing_outside_is_touched(outputs, tmp_path):
    elsewhere = write_run(tmp_path / "elsewhere", status="failed")
    (outputs / "link").symlink_to(tmp_path / "elsewhere")
    (outputs / "arm" / "9999999999-s0").symlink_to(elsewhere)
    study = outputs / "studies" / "mine"
    study.mkdir(parents=True)
    (study / "study.yaml").write_text("arms: {a: {runs: [../elsewhere/arm/0123456789-s0, link/arm/0123456789-s0]}}")
    [one] = find_removable([outputs], ["failed"])
    canary = tmp_path / "canary"
    canary.touch()
    (one.path / "checkpoint.pt").symlink_to(canary)
    [one] = find_removable([outputs], ["failed"])
    assert remove(one) is None
    assert canary.exists()
    assert sorted(path.name for path in elsewhere.iterdir()) == ["config.yaml", "metrics.jsonl", "result.json"]


def test_leftovers_are_half_written_files_that_nobody_is_writing(outputs):
    run = outputs / "arm" / f"{FINGERPRINTS['done']}-s0"
    old = time.time() - 7200
    parts = [run / ".checkpoint.pt.0.part", outputs / ".old.csv.1.part", outputs / ".new.csv.2.part"]
    for part in parts:
        part.touch()
    os.utime(parts[1], (old, old))
    found = find_removable([outputs], ["leftovers"])
    assert {one.path for one in found} == {parts[0], parts[1]}
    with FileLock(run / ".lock"):
        assert sum(remove(one) is not None for one in found) == 1
    assert [part.exists() for part in parts] == [True, False, True]
    assert [remove(one) for one in find_removable([outputs], ["leftovers"])] == [None]
    assert (run / "result.json").exists()


def test_a_finished_run_under_another_name_is_removed_whole_with_what_was_trained_again(outputs):
    run = write_run(outputs / "more", "8888888888").rename(outputs / "the best")
    (run / "rerun").mkdir()
    (run / "rerun" / "config.yaml").touch()
    [one] = [one for one in find_removable([outputs], ["done"]) if one.path == run]
    assert remove(one) is None
    assert not run.exists()


def test_a_damaged_run_is_removed_only_where_that_is_asked_for(outputs):
    run = write_run(outputs / "more", "8888888888")
    (run / "metrics.jsonl").write_text("")
    kinds = ["failed", "interrupted", "leftovers", "diverged", "done"]
    assert run not in [one.path for one in find_removable([outputs], kinds)]
    [one] = find_removable([outputs], ["damaged"])
    assert (one.path, remove(one)) == (run, None)
    assert not run.exists()
