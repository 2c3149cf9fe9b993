"""``bnexp clean`` in a pipe: it removes what was named, and only with --yes."""

import pytest
from tests.analysis.synthetic import write_run

from bnexp.cli.clean import size
from bnexp.cli.main import main


@pytest.fixture
def outputs(tmp_path):
    for number, status in enumerate(["done", "diverged", "failed", "interrupted"]):
        write_run(tmp_path, f"{number:010d}", status=status)
    return tmp_path


def left(outputs):
    return sorted(path.name[9] for path in outputs.glob("arm/*"))


def test_without_a_terminal_nothing_is_removed_before_it_was_agreed_to(outputs, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert main(["clean", str(outputs)]) == 2
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["failed", "interrupted"]
    assert captured.err == "bnexp: clean: there is no terminal to ask at; add --yes to remove these\n"
    assert left(outputs) == ["0", "1", "2", "3"]


def test_finished_runs_stay_unless_they_are_named(outputs, capsys):
    assert main(["clean", str(outputs), "--yes"]) == 0
    assert left(outputs) == ["0", "1"]
    assert main(["clean", str(outputs), "--diverged", "--yes"]) == 0
    assert left(outputs) == ["0"]
    assert capsys.readouterr().out.endswith("removed 1 of 1\n")
    assert main(["clean", str(outputs), "--yes"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_what_stays_gives_the_status_1(outputs, capsys):
    (outputs / "arm" / "0000000002-s0" / "notes.txt").touch()
    assert main(["clean", str(outputs), "--failed", "--yes"]) == 1
    captured = capsys.readouterr()
    assert "notes.txt" in captured.err
    assert captured.out.endswith("removed 0 of 1\n")


def test_a_folder_must_be_named(capsys):
    assert main(["clean"]) == 2
    assert capsys.readouterr().err == "bnexp: clean: name a folder; write bnexp clean outputs\n"


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345, "12 kB"), (3_400_000, "3.4 MB"), (2 * 10**12, "2000 GB")],
)
def test_sizes_are_short(num_bytes, text):
    assert size(num_bytes) == text
