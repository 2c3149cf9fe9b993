"""Only plain files are opened: links are not followed, and nothing is waited for."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bnexp import files

OPENERS: dict[str, Callable[[Path], object]] = {
    "read_bytes": files.read_bytes,
    "read_text": files.read_text,
    "append": lambda path: files.append(path, b"more"),
}

OPEN_ENDS: list[int] = []


@pytest.fixture(autouse=True)
def _closed_ends() -> Iterator[None]:
    yield
    while OPEN_ENDS:
        os.close(OPEN_ENDS.pop())


def fifo(path: Path) -> None:
    os.mkfifo(path)


def read_by_another(path: Path) -> None:
    """A FIFO whose other end is open, so that opening it for writing succeeds."""
    os.mkfifo(path)
    OPEN_ENDS.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def link(path: Path) -> None:
    path.with_name("victim").write_bytes(b"precious")
    path.symlink_to(path.with_name("victim"))


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("not there yet"))


def to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


def to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


def listening(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's name has room for 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)  # the file stays
    finally:
        os.chdir(before)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("make", "number"),
    [
        (fifo, errno.EINVAL),
        (read_by_another, errno.EINVAL),
        (listening, errno.EINVAL),
        (link, errno.ELOOP),
        (dangling, errno.ELOOP),
        (to_fifo, errno.ELOOP),
        (to_device, errno.ELOOP),
        (loop, errno.ELOOP),
        (folder, errno.EISDIR),
    ],
)
def test_what_is_no_plain_file_is_refused_at_once(
    make: Callable[[Path], None], number: int, opener: str, tmp_path: Path
) -> None:
    path = tmp_path / "record"
    make(path)
    found: list[BaseException] = []

    def attempt() -> None:
        try:
            OPENERS[opener](path)
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits"
    (error,) = found
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (number, str(path))
    assert not (tmp_path / "not there yet").exists()
    with suppress(FileNotFoundError):
        assert (tmp_path / "victim").read_bytes() == b"precious"


def test_a_plain_file_is_read_and_grows(tmp_path: Path) -> None:
    path = tmp_path / "record"
    files.append(path, b"one\n")
    files.append(path, "zwö\n".encode(), force=True)
    assert files.read_bytes(path) == b"one\nzw\xc3\xb6\n"
    assert files.read_text(path) == "one\nzwö\n"


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_bytes(tmp_path / "record")


def test_a_second_name_of_a_file_is_not_written_to(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "record"
    victim.write_bytes(b"precious")
    path.hardlink_to(victim)
    with pytest.raises(OSError, match="several names") as caught:
        files.append(path, b"more")
    assert (caught.value.errno, victim.read_bytes()) == (errno.EMLINK, b"precious")
    assert files.read_bytes(path) == b"precious"


@pytest.mark.parametrize("make", [link, dangling, to_device, fifo], ids=lambda make: make.__name__)
def test_a_new_file_takes_the_place_of_a_link_and_leaves_alone_where_it_led(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "record"
    make(path)
    with files.open_new(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert files.is_plain(path)
    assert not (tmp_path / "not there yet").exists()
    if make is link:
        assert (tmp_path / "victim").read_bytes() == b"precious"


def test_an_error_of_a_full_disk_names_the_file() -> None:
    with pytest.raises(OSError, match="device and not a plain file") as caught:
        files.append(Path("/dev/full"), b"more")
    assert caught.value.filename == "/dev/full"


def test_folders_are_made_below_a_place_but_not_through_links(tmp_path: Path) -> None:
    elsewhere, disk = tmp_path / "elsewhere", tmp_path / "disk"
    elsewhere.mkdir()
    disk.mkdir()
    outputs = tmp_path / "outputs"
    outputs.symlink_to(disk)  # the user's own choice
    files.make_folder(outputs / "arm" / "run", outputs)
    assert (disk / "arm" / "run").is_dir()
    (disk / "other").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link") as caught:
        files.make_folder(outputs / "other" / "run", outputs)
    assert caught.value.filename == str(outputs / "other")
    assert list(elsewhere.iterdir()) == []
    (disk / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        files.make_folder(outputs / "file" / "run", outputs)
