"""Which process is training a run: a note in its folder, for people who look. What keeps others out is the lock."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bnexp.files import open_new, read_text


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        host: the machine.
        pid: its number there.
        started: when it started, in the kernel's ticks, so that a later process of the same number is told from it;
            empty where the system does not say.
    """

    host: str
    pid: int
    started: str

    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether a process of this machine is still running."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:  # somebody else's
            pass
        return _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"process {self.pid}" + ("" if self.is_here() else f" on {self.host}")


@contextmanager
def owned(note: Path) -> Iterator[None]:
    """Say in the file ``note`` that this process is at work, until the block has ended; a full disk may say nothing."""
    pid = os.getpid()
    with suppress(OSError), open_new(note) as file:
        file.write(json.dumps(asdict(Owner(socket.gethostname(), pid, _started(pid)))).encode())
    try:
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)


def read_owner(note: Path) -> Owner | None:
    """Return the process that is, or was, at work; None where there is no note that can be read."""
    try:
        owner = Owner(**json.loads(read_text(note)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    is_process = type(owner.pid) is int and 0 < owner.pid < 2**31  # 0 and below are groups of processes
    return owner if is_process and isinstance(owner.host, str) and isinstance(owner.started, str) else None


def _started(pid: int) -> str:
    try:
        # The name of the program, in parentheses, may hold anything; the 20th field behind it is the start.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
