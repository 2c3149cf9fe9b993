"""Who trains a run: true while it is at work, and no longer after its death."""

import os
import subprocess
import sys
import time

import pytest

from bnexp.training.owner import Owner, owned, read_owner


def test_the_note_names_this_process_while_it_works_and_is_gone_afterwards(tmp_path):
    note = tmp_path / "owner.json"
    with owned(note):
        owner = read_owner(note)
        assert owner.pid == os.getpid()
        assert owner.is_here()
        assert owner.is_alive()
    assert read_owner(note) is None
    assert list(tmp_path.iterdir()) == []


def test_the_note_is_gone_after_an_error_too(tmp_path):
    with pytest.raises(KeyboardInterrupt), owned(tmp_path / "owner.json"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_a_note_and_is_known_to_be_dead(tmp_path):
    note = tmp_path / "owner.json"
    code = "import sys, time, pathlib; from bnexp.training.owner import owned\n"
    code += "with owned(pathlib.Path(sys.argv[1])): time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(note)])
    deadline = time.monotonic() + 30
    while (owner := read_owner(note)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert owner.pid == process.pid
    assert owner.is_alive()
    process.kill()
    process.wait()
    assert read_owner(note) == owner
    assert not owner.is_alive()


def test_another_process_of_the_same_number_is_not_taken_for_it(tmp_path):
    note = tmp_path / "owner.json"
    with owned(note):
        owner = read_owner(note)
    assert not Owner(owner.host, owner.pid, "12345").is_alive()


def test_the_machine_is_named_where_it_is_another():
    assert str(Owner("elsewhere", 7, "1")) == "process 7 on elsewhere"
    assert not Owner("elsewhere", 7, "1").is_here()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"pid": 1}', b"\xff"])
def test_a_damaged_note_is_none(tmp_path, content):
    (tmp_path / "note").write_bytes(content)
    assert read_owner(tmp_path / "note") is None
