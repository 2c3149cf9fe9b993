from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

# The same examples every time, on a machine as slow as it likes, and nothing written beside the tests.
settings.register_profile(
    "anywhere", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("anywhere")

CommandLine = Callable[..., subprocess.CompletedProcess[str]]


FOREIGN = re.compile(
    r"BNEXP_(?!DATA$)|_?COMP|PYTHON(?!PATH$|HOME$)|LC_|LANG|HYDRA_|XDG_|GIT_|MPL|JUPYTER|SLURM_|TTY_|CLICOLOR"
    r"|(COLUMNS|LINES|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|PY_COLORS|CXX|CUBLAS_WORKSPACE_CONFIG)$|.*_proxy$",
    re.IGNORECASE,
)
"""Variables of whoever calls pytest that a test, or a process that it starts, would see."""


@pytest.fixture(autouse=True, scope="session")
def _same_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All tests run in the same surroundings, whoever runs them and wherever: home, terminal, language, file modes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if FOREIGN.match(name)]:
            patch.delenv(name)
        home = tmp_path_factory.mktemp("home")
        for name, value in {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "LC_ALL": "C.UTF-8"}.items():
            patch.setenv(name, value)
        umask = os.umask(0o022)
        yield
        os.umask(umask)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests run on all cores at once, one thread each."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_counts() -> None:
    """A shell starts what runs in the background deaf to Ctrl-C, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _denormals() -> None:
    """A run flushes denormal numbers for its whole process, and Hypothesis' floats cannot do without them."""
    torch.set_flush_denormal(False)


@pytest.fixture
def bnexp(tmp_path: Path) -> CommandLine:
    """The real command line, in a process of its own, in an empty folder."""

    def call(*words: str, timeout: float = 600, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words),
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


def command(*words: str) -> Sequence[str]:
    return [sys.executable, "-m", "bnexp", *words]


def within(seconds: float, code: str, *words: str) -> bool:
    """Whether Python runs ``code`` in so many seconds on a core of an idle machine of today.

    Of a slow one: in 20 times what it takes to do nothing. Other processes take no part of a core's time.
    """
    return _cpu_seconds(code, *words) < max(seconds, 20 * _cpu_seconds("pass"))


def _cpu_seconds(code: str, *words: str) -> float:

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(5))


@pytest.fixture
def data_root() -> Path:
    """The real data sets; a test that needs them is skipped where they are not."""
    folder = os.environ.get("BNEXP_DATA")
    if not folder:
        pytest.skip("BNEXP_DATA names no folder with the real data sets")
    return Path(folder)
