"""A file is old or new at every moment, also when the disk is full or the process is told to stop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnexp.atomic import atomic_file, write_atomically


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def only(path):
    """The content of ``path``, nothing else being left in its folder."""
    assert list(path.parent.iterdir()) == [path]
    return path.read_bytes()


def test_the_new_content_replaces_the_old(path):
    write_atomically(path, b"new")
    assert only(path) == b"new"


def test_a_file_that_was_not_there_is_made(tmp_path):
    write_atomically(tmp_path / "file", b"")
    assert only(tmp_path / "file") == b""


def test_the_content_is_on_the_disk_before_it_takes_the_old_ones_place(path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor):
        is_folder = os.path.isdir(f"/dev/fd/{descriptor}")  # noqa: PTH112
        events.append(("folder" if is_folder else "file", path.read_bytes()))
        fsync(descriptor)

    def watched_replace(source, target):
        events.append(("replace", path.read_bytes()))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_atomically(path, b"new")
    assert events == [("file", b"old"), ("replace", b"old"), ("folder", b"new")]


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("interruption", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_the_old_content_stays_where_writing_fails(path, monkeypatch, function, interruption):
    def fail(*_arguments):
        raise interruption

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(type(interruption)):
        write_atomically(path, b"new")
    assert only(path) == b"old"


def test_the_old_content_stays_where_half_of_the_new_fits(path):
    """In a process that may write files of 4 kB at most, as on a disk that fills up."""
    code = """
import pathlib, resource, signal, sys
from bnexp.atomic import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    write_atomically(pathlib.Path(sys.argv[1]), bytes(8192))
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-B", "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert only(path) == b"old"


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("interruption", [OSError, KeyboardInterrupt])
def test_nothing_is_left_of_a_file_whose_writing_was_interrupted(tmp_path: Path, interruption: type[BaseException]):
    path = tmp_path / "file"

    def write_half() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise interruption

    with pytest.raises(interruption):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path):
    path = tmp_path / "file"
    with atomic_file(path) as first:
        first.write(b"11")
        with atomic_file(path) as second:
            second.write(b"2")
        assert path.read_bytes() == b"2"
        first.write(b"11")
    assert path.read_bytes() == b"1111"


def test_a_new_file_is_readable_by_whom_the_umask_allows(tmp_path: Path):
    ordinary, atomic = tmp_path / "ordinary", tmp_path / "atomic"
    ordinary.touch()
    with atomic_file(atomic) as file:
        file.write(b"")
    assert atomic.stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize("interruption", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_the_old_file_comes_back_from_where_it_is_kept_if_the_new_one_does_not_take_its_place(
    path, monkeypatch, interruption
):
    replace, kept = os.replace, path.with_name("kept")

    def fail_at_the_second(source, target):
        if str(source).endswith(".part"):
            raise interruption
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_at_the_second)
    with pytest.raises(type(interruption)):
        write_atomically(path, b"new", kept)
    assert only(path) == b"old"


def test_an_error_names_the_file_that_was_wanted(path, monkeypatch):
    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.*/file'$"):
        write_atomically(path, b"new")
