"""A full disk, a failing write and a folder that cannot be written lose nothing that was there before."""

import errno
import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from tests.reliability.faults import Operations, failing, injected
from tests.reliability.forked import call
from tests.reliability.small import ROWS, assert_same_end, composed, only_run, train

from bnexp.errors import ConfigError
from bnexp.training.checkpoint import load_checkpoint
from bnexp.training.seal import read_result

CAUSES = {errno.ENOSPC: "No space left on device", errno.EIO: "Input/output error", errno.EACCES: "Permission denied"}
SHORT = (*ROWS, "training.epochs=2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    operations = Operations()
    with injected(operations):
        train(folder, composed(*SHORT))
    return folder, len(operations.seen)


def steps_on_disk(folder):
    """The steps of the last checkpoint that loads, and how many operations it took until there was one."""
    found = [load_checkpoint(path)["progress"]["step"] for path in folder.glob("*/*/checkpoint.pt")]
    return found[0] if found else 0


class Watched(Operations):
    """Remembers the steps of the checkpoint that was there when the operation failed."""

    def __init__(self, folder, n, at, **more):
        super().__init__(n, at, **more)
        self.folder, self.steps = folder, 0

    def ask(self, operation, do, half=lambda: None):
        if len(self.seen) + 1 == self.n:
            self.steps = steps_on_disk(self.folder)
        return super().ask(operation, do, half)


def assert_nothing_is_lost(folder, undisturbed, n, error_number, *, stays=False):
    """Operation ``n`` fails: path and cause are named in a line, the checkpoint stays, and the run goes on."""
    folder.mkdir()
    operations = Watched(folder, n, failing(error_number), stays=stays)
    with injected(operations):
        try:
            result = train(folder, composed(*SHORT))
        except ConfigError as error:  # before the first step
            result = {"status": "failed", "error": str(error)}
    assert len(operations.seen) >= n  # or nothing failed
    if result["status"] != "done":  # an event file or a note of the owner may be all that was concerned
        assert result["status"] == "failed"
        assert CAUSES[error_number] in result["error"]
        assert str(folder) in result["error"]
        assert "\n" not in result["error"]
    assert steps_on_disk(folder) >= operations.steps
    again = train(folder, composed(*SHORT))
    assert again["status"] == "done"
    assert_same_end(folder, undisturbed)
    left = {path.name for path in only_run(folder).path.iterdir() if not path.name.startswith("events.out")}
    allowed = {"config.yaml", "metrics.jsonl", "checkpoint.pt", "result.json", "seal.json", ".lock"}
    if again.get("repeated") is False:  # the result was there, and what follows it failed
        allowed |= {"checkpoint-previous.pt", ".owner.json"}
    assert left <= allowed


@pytest.mark.parametrize("error_number", CAUSES, ids=errno.errorcode.get)
def test_some_failing_operations_of_a_run_lose_nothing(tmp_path, undisturbed, error_number):
    folder, num_operations = undisturbed
    for n in range(1 + list(CAUSES).index(error_number), num_operations + 1, 3):
        assert_nothing_is_lost(tmp_path / str(n), folder, n, error_number)


@pytest.mark.slow
@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("error_number", CAUSES, ids=errno.errorcode.get)
def test_any_failing_operation_of_a_run_loses_nothing(tmp_path, undisturbed, error_number, stays):
    folder, num_operations = undisturbed
    for n in range(1, num_operations + 1):
        assert_nothing_is_lost(tmp_path / str(n), folder, n, error_number, stays=stays)


@pytest.mark.parametrize("n", [1, 8, 20, 30])
def test_a_disk_that_stays_full_loses_nothing(tmp_path, undisturbed, n):
    assert_nothing_is_lost(tmp_path / "run", undisturbed[0], n, errno.ENOSPC, stays=True)


def train_with_small_files(folder, limit, one):
    """Train where no file may grow beyond ``limit`` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    result = train(folder, one)
    sys.exit(0 if result["status"] == "failed" and "File too large: '" in result["error"] else 1)


def test_a_file_that_may_not_grow_loses_nothing(tmp_path, undisturbed):
    assert call(train_with_small_files, tmp_path, 4000, composed(*SHORT)) == 0
    result = read_result(only_run(tmp_path))
    assert result["status"] == "failed"
    assert "checkpoint.pt" in result["error"]
    assert train(tmp_path, composed(*SHORT))["status"] == "done"
    assert_same_end(tmp_path, undisturbed[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
def test_a_real_disk_that_is_full_loses_nothing(tmp_path, undisturbed):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(128_000))
        result = train(disk, composed(*SHORT))
        assert result["status"] == "failed"
        assert "No space left on device: '" in result["error"]
        ballast.unlink()
        assert train(disk, composed(*SHORT))["status"] == "done"
        assert_same_end(disk, undisturbed[0])
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_operation_without_memory_left_is_named_by_the_run_too(tmp_path, undisturbed, monkeypatch):
    """What PyTorch cannot write, Python cannot either: the buffer itself may not fit."""

    def fail(*_):
        raise MemoryError("the buffer does not fit")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        result = train(tmp_path, composed(*SHORT))
    assert (result["status"], result["error"]) == ("failed", "MemoryError: the buffer does not fit")
    assert train(tmp_path, composed(*SHORT))["status"] == "done"
    assert_same_end(tmp_path, undisturbed[0])
