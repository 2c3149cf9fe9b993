from pathlib import Path

import pytest

from bnexp.data.atomic import atomic_file


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
