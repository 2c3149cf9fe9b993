"""The dashboard in a process of its own: with TensorBoard once, with stand-ins for what goes wrong."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bnexp.cli.dashboard import is_free, next_free_port
from bnexp.cli.main import main

# SIGINT is ignored in what a shell starts in the background, as the tests may be.
CALL = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from bnexp.cli.main import main
sys.executable = {executable!r}
sys.exit(main(["dashboard", *sys.argv[1:]]))
"""
CHATTER = """\
TensorFlow installation not found - running with reduced feature set.
NOTE: Using experimental fast data loading logic.
"""
PROBLEMS = """\
[2026-11-20T17:27:52Z WARN  rustboard_core::run] Read error in events.out.tfevents.1: ReadRecordError
E1120 17:27:52.000000 140 program.py:300] something broke
OSError: disk full
"""
SERVER = f"""\
import http.server, sys
sys.stderr.write({CHATTER + PROBLEMS!r}); sys.stderr.flush()
port = int(sys.argv[-1].removeprefix("--port="))
class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", port), Quiet).serve_forever()
"""


@contextmanager
def dashboard(*words: str, executable: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", CALL.format(executable=executable), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def address(process: subprocess.Popen[str]) -> tuple[str, int]:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://([\d.]+):(\d+)/", line)
    assert found, line
    return found[1], int(found[2])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stand_in(folder: Path, code: str) -> str:
    """Write a program that does ``code`` in place of TensorBoard."""
    (folder / "server.py").write_text(code)
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {folder / "server.py"} "$@"\n')
    program.chmod(0o755)
    return str(program)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def write_event(folder: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    writer.add_event(Event(step=1, summary=Summary(value=[Summary.Value(tag="train/loss", simple_value=1.0)])))
    writer.close()


def get(host: str, port: int, path: str) -> str:
    connection = HTTPConnection(host, port, timeout=60)
    connection.request("GET", path)
    body = connection.getresponse().read().decode()
    connection.close()
    return body


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for child processes in /proc")
def test_tensorboard_shows_the_runs_on_the_loopback_address_alone_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    write_event(tmp_path / "some" / "run")
    with dashboard(str(tmp_path), "--port", str(free_port())) as process:
        host, port = address(process)
        assert host == "127.0.0.1"
        assert until(lambda: json.loads(get(host, port, "/data/runs")) == ["some/run"])
        # A server on all addresses would answer here too: on Linux all of 127.0.0.0/8 is this machine.
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port), timeout=2)
        children = descendants(process.pid)
        assert children
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130
        assert until(lambda: not any(map(running, children)))
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_only_problems_are_passed_on_and_a_signal_ends_both_processes(sent: int, status: int, tmp_path: Path) -> None:
    with dashboard(str(tmp_path), f"--port={free_port()}", executable=stand_in(tmp_path, SERVER)) as process:
        host, port = address(process)
        process.send_signal(sent)
        assert process.wait(300) == status
        assert process.stderr is not None
        assert process.stderr.read() == PROBLEMS
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, port), timeout=2)


def test_a_server_that_ends_by_itself_is_status_1_with_its_last_words(tmp_path: Path) -> None:
    executable = stand_in(tmp_path, "import sys; sys.exit('no module named tensorboard')")
    with dashboard(str(tmp_path), executable=executable) as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (1, "")
    assert err == "bnexp: TensorBoard ended; the last that it said:\nno module named tensorboard\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "outputs: no such folder; train something first (bnexp train), or name the folder of your runs"),
        (["nowhere"], "nowhere: no such folder; "),
        (["a_file"], "a_file: not a folder; "),
        ([".", "too_many"], "too_many: one word too many; write bnexp dashboard [PATH]"),
        ([".", "--port", "0"], "--port=0: must be a whole number from 1 to 65535"),
        ([".", "--port=65536"], "--port=65536: must be a whole number from 1 to 65535"),
        ([".", "--port=http"], "--port=http: must be a whole number from 1 to 65535"),
        (["--prot=80"], "--prot: bnexp dashboard has no such flag; did you mean '--port'?"),
    ],
)
def test_a_mistake_gets_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_file").touch()
    assert main(["dashboard", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"bnexp: {message}")
    assert err.count("\n") == 1


def test_a_port_in_use_is_an_error_if_asked_for_and_passed_over_if_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["dashboard", str(tmp_path), "--port", str(port)]) == 2
        assert capsys.readouterr().err.startswith(f"bnexp: --port={port}: not free; ")
        assert not is_free(port)
        assert next_free_port(port) > port
    assert next_free_port(port) == port
