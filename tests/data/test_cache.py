import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bnexp.data import cache
from bnexp.data.cache import Kept, cached, kept_files

ARRAY = (np.arange(30000) % 251).astype(np.uint8).reshape(10, 3, 100, 10)


def stored(array: NDArray[np.uint8] = ARRAY, key: str = "key") -> NDArray[np.uint8]:
    """Return what is kept for the key, or keep the array for it."""
    kept, text = cached("room", key, 10, lambda: (array, "about it"))
    assert text == "about it"
    assert kept.dtype == np.uint8
    return kept  # type: ignore[return-value]


def kept_array() -> NDArray[np.uint8]:
    """Return what is kept for the key; a computation is an error."""

    def refuse() -> Kept:
        raise AssertionError("computed again")

    return cached("room", "key", 10, refuse)[0]  # type: ignore[return-value]


def test_an_array_is_computed_once_for_a_key():
    np.testing.assert_array_equal(stored(), ARRAY)
    np.testing.assert_array_equal(kept_array(), ARRAY)
    np.testing.assert_array_equal(stored(ARRAY + 1, "another key"), ARRAY + 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"\0" * len(content),
        lambda content: content[:1500] + bytes([content[1500] ^ 1]) + content[1501:],  # among the pixels
        lambda content: content.replace(b"(10, 3, 100, 10)", b"(10, 3, 100, 11)"),  # in the array's header: too long
        lambda content: content.replace(b"(10, 3, 100, 10)", b"(10, 3, 50, 10) "),  # or too short
    ],
)
def test_a_damaged_array_is_noticed_and_computed_again(private_cache: Path, damage: Callable[[bytes], bytes]):
    stored()
    (file,) = (private_cache / "bnexp" / "room").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert file.read_bytes() != whole
    with pytest.raises(AssertionError, match="computed again"):
        kept_array()
    np.testing.assert_array_equal(stored(), ARRAY)
    np.testing.assert_array_equal(kept_array(), ARRAY)


def test_a_cache_of_objects_is_never_unpickled(private_cache: Path):
    stored()
    (file,) = (private_cache / "bnexp" / "room").iterdir()
    np.savez(file, array=np.array([print], dtype=object))
    np.testing.assert_array_equal(stored(), ARRAY)


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(stored(), ARRAY)
    assert "cannot be kept for the next run" in caplog.text
    assert "set XDG_CACHE_HOME" in caplog.text


def test_without_xdg_cache_home_the_cache_lies_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    stored()
    assert len(list((tmp_path / ".cache" / "bnexp" / "room").iterdir())) == 1


@pytest.mark.parametrize(
    "forged",
    [
        {"array": ARRAY * 0},  # an archive of zeros whose own checksums are right
        {"array": ARRAY[:, :, :50]},
        {"array": ARRAY.astype(np.float64)},
        {"array": ARRAY[:5], "sha256": True},
        {"array": ARRAY[0], "sha256": True},
        {"text": "something else"},
        {"key": "another key"},
    ],
)
def test_an_archive_of_something_else_is_computed_again(private_cache: Path, forged: dict[str, Any]):
    stored()
    (file,) = (private_cache / "bnexp" / "room").iterdir()
    values = {"array": ARRAY, "text": "about it", "key": "key", "sha256": False} | forged
    array, text = values["array"], values["text"]
    of = array if forged.get("sha256") else ARRAY
    digest = cache._digest(values["key"], of, text if forged.get("sha256") else "about it")
    np.savez(file, array=array, text=np.array(text), sha256=np.array(digest))
    with pytest.raises(AssertionError, match="computed again"):
        kept_array()


def test_a_pipe_in_place_of_an_archive_is_not_waited_for(private_cache: Path):
    stored()
    (file,) = (private_cache / "bnexp" / "room").iterdir()
    file.unlink()
    os.mkfifo(file)
    np.testing.assert_array_equal(stored(), ARRAY)


def test_the_cache_is_bounded_and_what_was_not_used_for_the_longest_time_makes_room(
    private_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cache, "MOST_BYTES", int(2.5 * ARRAY.nbytes))
    for number, key in enumerate(["first", "second"]):
        stored(ARRAY, key)
        os.utime(kept_files()[-1], (number, number))
    stored(ARRAY, "first")  # used again
    stored(ARRAY, "key")
    assert sum(file.stat().st_size for file in kept_files()) <= 2.5 * ARRAY.nbytes
    for key in ("first", "key"):
        np.testing.assert_array_equal(cached("room", key, 10, lambda: (ARRAY + 1, ""))[0], ARRAY)
    np.testing.assert_array_equal(cached("room", "second", 10, lambda: (ARRAY + 1, ""))[0], ARRAY + 1)


def test_only_its_own_files_belong_to_the_cache(private_cache: Path):
    stored()
    room = private_cache / "bnexp" / "room"
    (room / "letter.npz").touch()
    (room / ("0" * 64 + ".npz")).symlink_to(room / "letter.npz")
    (private_cache / "bnexp" / "link").symlink_to(private_cache)
    assert len(kept_files()) == 1


def test_without_a_home_folder_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", refuse_home)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(stored(), ARRAY)
    assert "set XDG_CACHE_HOME" in caplog.text
    assert kept_files() == []


def refuse_home() -> Path:
    raise RuntimeError("Could not determine home directory.")
