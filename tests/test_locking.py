"""Two processes never hold the lock of one path, whatever happens to the file in between."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import BaseFileLock, FileLock, Timeout

from bnexp.locking import acquire


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / ".lock"


def unlink(path: Path) -> None:
    path.unlink()


def unlink_with_folder(path: Path) -> None:
    move_folder_away(path)  # in one step: whoever waits may make it again meanwhile
    shutil.rmtree(path.parent.with_name("moved"))


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    other.replace(path)


def move_away(path: Path) -> None:
    path.rename(path.with_name("moved"))


def move_folder_away(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def link_elsewhere(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


WAIT = """
import sys
from pathlib import Path
from filelock import Timeout
from bnexp.locking import acquire

path = Path(sys.argv[1])
try:
    acquire(path, timeout=0)
except Timeout:
    print("waiting", flush=True)
with acquire(path, timeout=60):
    print("held", flush=True)
    input()
"""
CHANGES = [unlink, unlink_with_folder, replace, move_away, move_folder_away]


def test_a_lock_keeps_others_out_until_it_is_let_go(path):
    with acquire(path):
        with pytest.raises(Timeout):
            acquire(path, timeout=0)
        with pytest.raises(Timeout):
            FileLock(path).acquire(timeout=0)
    with acquire(path, timeout=0):
        pass
    assert path.exists()


@pytest.mark.parametrize("change", CHANGES)
def test_the_file_may_change_just_before_it_is_locked(path, monkeypatch, change):
    """The other process acts between the opening of the file and the lock on it, which is when nothing keeps it out."""
    path.parent.mkdir()
    path.touch()
    locked, once = FileLock.acquire, [change]

    def interleaved(self: BaseFileLock, *args: object, **kwargs: object) -> object:
        found = locked(self, *args, **kwargs)
        if once:
            once.pop()(path)
        return found

    monkeypatch.setattr(FileLock, "acquire", interleaved)
    with acquire(path, timeout=0):
        with pytest.raises(Timeout):
            acquire(path, timeout=0)
        with pytest.raises(Timeout):
            FileLock(path).acquire(timeout=0)


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_waited_holds_the_file_that_is_there_when_it_is_its_turn(path, change):
    words = [sys.executable, "-c", WAIT, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            with acquire(path):
                assert other.stdout.readline() == "waiting\n"
                change(path)
            assert other.stdout.readline() == "held\n"
            with pytest.raises(Timeout):
                acquire(path, timeout=0)
            other.communicate("enough\n", timeout=60)
        finally:
            other.kill()
    assert other.returncode == 0
    with acquire(path, timeout=0):
        pass


def test_nobody_follows_a_link_in_the_place_of_a_lock(path):
    path.parent.mkdir()
    path.touch()
    link_elsewhere(path)
    with pytest.raises(OSError, match="symbolic link"):
        acquire(path, timeout=0)


def test_what_cannot_be_made_is_an_error_and_not_a_wait(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        acquire(tmp_path / "file" / "run" / ".lock")
