"""``bnexp dashboard``: TensorBoard on the run folders, for this machine only."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import NoReturn

from bnexp.cli.flags import Flag, parse
from bnexp.config.home import at_home
from bnexp.errors import ConfigError
from bnexp.text import say

HELP = """\
usage: bnexp dashboard [PATH] [--port N]

Start TensorBoard on the runs below PATH (outputs if left out) and print its address. Ctrl-C ends it.
It listens on the loopback address: only programs on this machine can reach it.

flags:
  --port N    listen on this port; otherwise on 6006 or the next free one
"""

LOOPBACK = "127.0.0.1"
FIRST_PORT = 6006
NUM_PORTS = 100  # how many are tried from the first on
POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0  # for TensorBoard to end by itself before it is killed

# absl's `E1120 17:21:00 …`, the data server's `[2026-11-20T17:27:52Z WARN  rustboard…` (damaged event files), the last
# line of a traceback, a usage error. The rest of what TensorBoard writes is of no use to a reader.
_ERROR = re.compile(r"[EF]\d{4} |\[\S+ +(WARN|ERROR) |([\w.]*)(Error|Exception): |ERROR")


def help_text() -> str:
    """Return what ``bnexp dashboard --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM; return 1 where TensorBoard ends by itself."""
    flags, words = parse(arguments, [Flag(("--port",), "N")], "dashboard")
    if len(words) > 1:
        raise ConfigError(f"{words[1]}: one word too many; write bnexp dashboard [PATH]")
    folder = _existing(words[0] if words else "outputs")
    port = _asked_for(flags["--port"]) if "--port" in flags else next_free_port(FIRST_PORT)
    signal.signal(signal.SIGTERM, _end)
    _name_changed_files(folder)
    return _serve(folder, port)


def _name_changed_files(folder: Path) -> None:
    """Name the runs of which TensorBoard will show other numbers than they recorded."""
    from bnexp.analysis.states import run_folders
    from bnexp.training.record import RunFolder
    from bnexp.training.seal import DamagedRunError, check_events

    for path in run_folders(folder):
        try:
            check_events(RunFolder(path))
        except DamagedRunError as error:
            say(f"TensorBoard may show what the run did not record: {error}", error=True)


def _existing(path: str) -> Path:
    folder = Path(at_home(path))
    if not folder.is_dir():
        problem = "not a folder" if folder.exists() else "no such folder"
        raise ConfigError(f"{path}: {problem}; train something first (bnexp train), or name the folder of your runs")
    return folder


def _asked_for(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 2**16:
        raise ConfigError(f"--port={text}: must be a whole number from 1 to 65535")
    if not is_free(int(text)):
        raise ConfigError(f"--port={text}: not free; name another, or leave --port out and the next free one is taken")
    return int(text)


def next_free_port(first: int) -> int:
    """Return the first free port from ``first`` on."""
    for port in range(first, first + NUM_PORTS):
        if is_free(port):
            return port
    raise ConfigError(f"no port from {first} to {first + NUM_PORTS - 1} is free; name one with --port")


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of the loopback address."""
    with socket.socket() as probe:
        # As TensorBoard does it: connections that just closed do not keep the port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _end(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def _serve(folder: Path, port: int) -> int:
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={folder}", f"--host={LOOPBACK}", f"--port={port}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    said: deque[str] = deque(maxlen=20)
    listener = Thread(target=_pass_on_errors, args=(server, said), daemon=True)
    listener.start()
    try:
        while server.poll() is None and not _answers(port):
            time.sleep(POLL_SECONDS)
        if server.poll() is None:
            say(f"TensorBoard shows {folder} at http://{LOOPBACK}:{port}/ (Ctrl-C ends it)")
        server.wait()
    finally:
        _stop(server)
        listener.join(GRACE_SECONDS)
    say("bnexp: TensorBoard ended; the last that it said:", *said, error=True)
    return 1


def _answers(port: int) -> bool:
    connection = HTTPConnection(LOOPBACK, port, timeout=1)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _pass_on_errors(server: subprocess.Popen[str], said: deque[str]) -> None:
    assert server.stderr is not None
    for line in server.stderr:
        said.append(line.rstrip())
        if _ERROR.match(line):
            say(line.rstrip(), error=True)


def _stop(server: subprocess.Popen[str]) -> None:
    server.terminate()
    try:
        server.wait(GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        server.kill()
        server.wait()
