"""``bnexp status`` as a person uses it."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from tests.analysis.synthetic import write_run
from tests.conftest import command

from bnexp.analysis.states import State
from bnexp.cli.main import main
from bnexp.cli.status import cells
from bnexp.training.owner import owned

ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    write_run(tmp_path / "outputs", "0000000000", accuracy=0.75)
    failed = write_run(tmp_path / "outputs", "0000000001", status="failed")
    result = json.loads((failed / "result.json").read_text())
    (failed / "result.json").write_text(json.dumps(result | {"error": "ValueError: [bold]odd"}))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"


def test_a_pipe_gets_a_line_for_each_run_once(outputs, capsys):
    running = write_run(outputs, "0000000002", training__epochs=5)
    (running / "result.json").unlink()
    with owned(running / ".owner.json"):
        assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["done", "arm/0000000000-s0", "20/20"],
        ["failed", "arm/0000000001-s0", "20/20"],
        ["running", "arm/0000000002-s0", "20/50"],
    ]
    assert "0.7500" in lines[1]
    assert lines[2].endswith("ValueError: [bold]odd")
    assert lines[3].endswith(f"by process {os.getpid()}")
    assert lines[4] == "3 runs: 1 running, 1 failed, 1 done"


def test_json_holds_the_same(outputs, capsys):
    assert main(["status", "outputs", "--json"]) == 0
    done, failed = json.loads(capsys.readouterr().out)
    assert (done["status"], done["step"], done["num_steps"], done["error"]) == ("done", 20, 20, None)
    assert done["metrics"]["val/accuracy"] == 0.75
    assert (failed["status"], failed["error"], failed["owner"]) == ("failed", "ValueError: [bold]odd", None)


def test_a_folder_without_runs_is_a_mistake(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"bnexp: {tmp_path}: no run; train something first (bnexp train)\n"


def on_a_terminal(*words, answer=b"", cwd=None, width=120, height=12):
    """What a program shows on a terminal, and its exit status."""
    main_end, other_end = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "LINES": str(height), "TERM": "xterm"}
    process = subprocess.Popen(
        words, cwd=cwd, env=environment, stdin=other_end, stdout=other_end, stderr=other_end, close_fds=True
    )
    os.close(other_end)
    os.write(main_end, answer)
    shown = b""
    while True:
        try:
            shown += os.read(main_end, 4096)
        except OSError:
            break
    os.close(main_end)
    return shown.decode(), process.wait()


def test_a_terminal_shows_what_fits_and_ends_when_nothing_is_running(outputs):
    for number in range(2, 30):
        write_run(outputs, f"{number:010d}")
    shown, status = on_a_terminal(*command("status"), cwd=outputs.parent)
    assert status == 0
    assert "30 runs: 1 failed, 29 done; 24 not shown" in shown
    assert "[bold]odd" in shown


def last_page(shown):
    """The lines that stay when ``bnexp status`` has ended."""
    lines = [line for line in re.split(r"[\r\n]+", ANSI.sub("", shown)) if line.strip()]
    return lines[max(i for i, line in enumerate(lines) if line.startswith("state ")) :]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_narrow_terminal_shows_states_steps_and_names_whole_and_says_what_had_no_room(outputs, width):
    longer = outputs.rename(outputs.parent / "runs") / "arm"
    longer = longer.rename(longer.parent / "digits-convnet-default-none-momentum")
    folder = longer / "0000000001-s0"
    error = "MemoryError: [bold]odd, and a long story: " + "the workers were killed " * 3
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"error": error}))
    shown, status = on_a_terminal(*command("status", "runs"), cwd=outputs.parent, width=width, height=40)
    assert status == 0
    lines = last_page(shown)
    assert max(map(len, lines)) <= width
    assert "…" not in shown
    rows = [line.split() for line in lines]
    assert {(row[0], row[2]) for row in rows if row[0] in ("done", "failed")} == {
        ("done", "20/20"),
        ("failed", "20/20"),
    }
    hidden = re.findall("train loss|val accuracy|remarks", " ".join(lines).partition("no room for: ")[2])
    assert hidden == {40: ["val accuracy", "train loss", "remarks"], 60: ["val accuracy", "train loss"],
                      80: ["train loss"], 120: []}[width]  # fmt: skip
    start = lines[0].index("run")
    end = lines[0].index("steps")
    assert f"{folder.parent.name}/{folder.name}" in "".join(line[start:end].strip() for line in lines)


def test_folded_rows_leave_room_for_the_last_line(outputs):
    longer = (outputs / "arm").rename(outputs / "digits-convnet-default-none-momentum")
    for number in range(2, 12):
        write_run(outputs, f"{number:010d}")
    for run in (outputs / "arm").iterdir():
        run.rename(longer / run.name)
    shown, _ = on_a_terminal(*command("status"), cwd=outputs.parent, width=60, height=20)
    lines = last_page(shown)
    assert len(lines) <= 20
    assert re.search(r"12 runs: 1 failed, 11 done; [5-9] not shown", " ".join(lines))


def test_clean_asks_on_a_terminal_and_takes_no_for_an_answer(outputs):
    shown, status = on_a_terminal(*command("clean", "outputs"), answer=b"n\n", cwd=outputs.parent)
    assert status == 0
    assert "Remove these 1 (" in shown
    assert "nothing was removed" in shown
    assert len(list(outputs.glob("arm/*"))) == 2
    shown, status = on_a_terminal(*command("clean", "outputs"), answer=b"y\n", cwd=outputs.parent)
    assert "removed 1 of 1" in shown
    assert [path.name for path in outputs.glob("arm/*")] == ["0000000000-s0"]


def test_an_evaluation_without_a_score_is_told_from_one_that_is_still_to_come():
    row = {"step": 10, "val/accuracy": None, "train/loss": None}
    lost = State(Path("arm/0123456789-s0"), "diverged", None, row, 40, "")
    waiting = State(Path("arm/0123456789-s1"), "running", None, {}, 40, "")
    assert cells(lost)[3:5] == ("no score", "–")
    assert cells(waiting)[3:5] == ("", "")
