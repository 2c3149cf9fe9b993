"""Processes that have imported everything when they start: forked from one that does nothing else."""

import multiprocessing
import os
from pathlib import Path

from bnexp.sockets import make_room

ROOT = Path(__file__).parents[2]
CONTEXT = multiprocessing.get_context("forkserver")
KILLED = -9


def start(function, *words):
    """Start ``function(*words)`` in a process of its own; both must be importable."""
    make_room()
    CONTEXT.set_forkserver_preload(["tests.reliability.warm"])  # a multirun in this process may have set its own
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [before, str(ROOT)]))  # where the others are forked from
    try:
        process = CONTEXT.Process(target=function, args=words, daemon=True)
        process.start()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return process


def exit_code(process, timeout=300):
    """Wait for a process; return its exit status, or minus the number of the signal that killed it."""
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"still running after {timeout} s")
    return process.exitcode


def call(function, *words, timeout=300):
    """Run ``function(*words)`` in a process of its own; return its exit status."""
    return exit_code(start(function, *words), timeout)
