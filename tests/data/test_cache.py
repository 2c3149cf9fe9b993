import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bnexp.data.cache import cached

ARRAY = (np.arange(30000) % 251).astype(np.uint8).reshape(10, 3, 100, 10)


def kept_array() -> NDArray[np.uint8]:
    """Return what is kept for the key; a computation is an error."""

    def refuse() -> NDArray[np.uint8]:
        raise AssertionError("computed again")

    return cached("room", "key", refuse)


def test_an_array_is_computed_once_for_a_key():
    np.testing.assert_array_equal(cached("room", "key", lambda: ARRAY), ARRAY)
    np.testing.assert_array_equal(kept_array(), ARRAY)
    np.testing.assert_array_equal(cached("room", "another key", lambda: ARRAY + 1), ARRAY + 1)


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
    cached("room", "key", lambda: ARRAY)
    (file,) = (private_cache / "bnexp" / "room").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert file.read_bytes() != whole
    with pytest.raises(AssertionError, match="computed again"):
        kept_array()
    np.testing.assert_array_equal(cached("room", "key", lambda: ARRAY), ARRAY)
    np.testing.assert_array_equal(kept_array(), ARRAY)


def test_a_cache_of_objects_is_never_unpickled(private_cache: Path):
    cached("room", "key", lambda: ARRAY)
    (file,) = (private_cache / "bnexp" / "room").iterdir()
    np.savez(file, array=np.array([print], dtype=object))
    np.testing.assert_array_equal(cached("room", "key", lambda: ARRAY), ARRAY)


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(cached("room", "key", lambda: ARRAY), ARRAY)
    assert "cannot be kept for the next run" in caplog.text
    assert "set XDG_CACHE_HOME" in caplog.text


def test_without_xdg_cache_home_the_cache_lies_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    cached("room", "key", lambda: ARRAY)
    assert len(list((tmp_path / ".cache" / "bnexp" / "room").iterdir())) == 1
