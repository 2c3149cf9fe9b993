"""No file of the working folder is imported, by bnexp or by a process that it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

SMALL = ["dataset=two_features", "dataset.num_examples=300", "model=mlp", "model.width=8"]
SMALL += ["training.device=cpu", "training.threads=1", "training.epochs=1"]
STUDY = {
    "question": "Does it matter?",
    "base": SMALL,
    "arms": {"one": ["norm=none"], "two": ["norm=batch"]},
    "baseline": "one",
    "seeds": 2,
}
PLUGIN = "def flat(step, num_steps, *, height: float):\n    return height\n"
OWN_FOLDERS = ("mine", "outputs")

START = """\
import sys
from bnexp.cli.main import process
if __name__ == "__main__":
    sys.exit(process())
"""
"""What pip writes as the command ``bnexp``."""


def names() -> list[str]:
    """Every module and package that could be imported here, and those that Python looks for by itself."""
    installed = {name.split("/")[0] for name in packages_distributions() if re.fullmatch(r"\w+", name.split("/")[0])}
    return sorted({*sys.stdlib_module_names, *installed, "bnexp", "sitecustomize", "usercustomize", "readline"})


class Trap:
    """A working folder full of modules that leave a file where they are run."""

    def __init__(self, place: Path) -> None:
        self.folder, self.touched = place / "work", place / "touched"
        self.program = place / "bin" / "bnexp"
        for folder in (self.folder, self.touched, self.program.parent):
            folder.mkdir(parents=True)
        self.program.write_text(START)
        for name in names():
            self.set(f"{name}.py", name)
            self.set(f"{name}/__init__.py", name)
        self.set("hydra_plugins/hydra_evil/__init__.py", "hydra_evil")
        for file in ("hydra_plugins/__init__.py", "hydra_plugins.py"):  # a package that any folder may add to
            (self.folder / file).unlink(missing_ok=True)
        (self.folder / "matplotlibrc").write_text("text.usetex: True\nno.such.key: 1\n")
        (self.folder / "mine" / "study").mkdir(parents=True)
        (self.folder / "mine" / "study" / "tiny.yaml").write_text("# Tiny\n" + yaml.safe_dump(STUDY))

    def set(self, file: str, name: str) -> None:
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(self.touched / name)!r}, 'w').close()\n")

    def run(
        self, *words: str, start: tuple[str, ...] = (), env: Mapping[str, str] | None = None, status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; nothing there may have been run after it."""
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
        done = subprocess.run(
            [sys.executable, *(start or (str(self.program),)), *words],
            cwd=self.folder,
            env={**environment, "COLUMNS": "200", **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert self.found() == []
        assert done.returncode == status, done.stderr
        assert "matplotlibrc" not in done.stderr
        return done

    def found(self) -> list[str]:
        return sorted(path.name for path in self.touched.iterdir())


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Trap:
    return Trap(tmp_path_factory.mktemp("trap"))


def test_the_traps_are_many_and_work(trap: Trap) -> None:
    assert len(names()) > 350
    program = "import random, hydra_plugins.hydra_evil, torch"
    subprocess.run([sys.executable, "-c", program], cwd=trap.folder, check=False, capture_output=True)
    assert {"random", "hydra_evil"} <= {*trap.found()}
    for path in trap.touched.iterdir():
        path.unlink()


CHEAP = [
    ["--version"],
    ["--help"],
    ["train", "--help"],
    ["list"],
    ["list", "norm", "batch"],
    ["completion", "zsh"],
    ["completion", "--query", "2", "--", "bnexp", "train", "no"],
]


def test_commands_that_only_tell_run_nothing(trap: Trap) -> None:
    for words in CHEAP:
        trap.run(*words)


def test_a_run_and_those_who_read_it_run_nothing(trap: Trap) -> None:
    trap.run("train", *SMALL)
    trap.run("train", "norm=nope", status=2)
    trap.run("status", "--once")
    trap.run("compare", "--csv", "table.csv", "--plot", "picture")
    trap.run("clean", "outputs", "--yes")


LONG: dict[str, list[str]] = {
    "workers": ["train", "-m", *SMALL, "seed=11,12"],
    "joblib": ["train", "-m", *SMALL, "seed=13,14", "hydra/launcher=joblib"],
    "submitit": ["train", "-m", *SMALL, "seed=15,16", "hydra/launcher=submitit_local"],
    "hydra's run": ["train", *SMALL, "hydra.verbose=false"],
    "cfg": ["train", "--cfg", "job"],
    "info": ["train", "--info", "plugins"],
    "study": ["study", "tiny", "--config-dir", "mine"],
    "study with joblib": ["study", "tiny", "--config-dir", "mine", "seeds=3", "hydra/launcher=joblib"],
    "dry run": ["study", "tiny", "--config-dir", "mine", "--dry-run", "seeds=4"],
    "summary": ["summary", *SMALL],
    "inspect": ["inspect", *SMALL, "--plot", "picture"],
    "landscape": ["landscape", "outputs", "--line"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", LONG)
def test_a_long_command_runs_nothing(command: str, trap: Trap) -> None:
    if command == "landscape":
        trap.run("train", *SMALL)
    trap.run(*LONG[command])


@pytest.mark.slow
def test_check_runs_nothing(trap: Trap) -> None:
    assert "input scale" in trap.run("check", *SMALL, "--plot", "examples", status=1).stdout


@pytest.mark.slow
def test_the_dashboard_runs_nothing(trap: Trap) -> None:
    trap.run("train", *SMALL)
    command = [sys.executable, str(trap.program), "dashboard"]
    with subprocess.Popen(command, cwd=trap.folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "TensorBoard shows" in process.stdout.readline()
        time.sleep(1)
        process.terminate()
    assert trap.found() == []


def test_python_m_bnexp_imports_nothing_more_from_the_folder_than_python_itself_does(tmp_path: Path) -> None:
    """``python -m`` imports a few modules of its own with the folder on its path, before bnexp's first line."""
    code = "import sys; print(*sys.modules)"
    (tmp_path / "nothing.py").write_text(code)
    done = subprocess.run([sys.executable, "-m", "nothing"], cwd=tmp_path, capture_output=True, text=True, check=True)
    trap = Trap(tmp_path / "trap")
    for name in {module.split(".")[0] for module in done.stdout.split()} | {"bnexp"}:
        (trap.folder / f"{name}.py").unlink(missing_ok=True)
        (trap.folder / name / "__init__.py").unlink(missing_ok=True)
        if (trap.folder / name).is_dir():
            (trap.folder / name).rmdir()
    trap.run("train", *SMALL, start=("-m", "bnexp"))
    trap.run("list", "norm", start=("-P", "-m", "bnexp"))


def test_an_empty_entry_of_pythonpath_is_not_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    code = "import sys\nfrom bnexp.import_path import protect\nprotect()\nprotect()\nimport os\n"
    code += "print(os.environ['PYTHONPATH'], os.getcwd() in sys.path, *sys.path, sep='\\n')"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "program").write_text(code)
    lib = str(tmp_path / "lib")

    def path(entries: list[str]) -> list[str]:
        done = subprocess.run(
            [sys.executable, str(tmp_path / "bin" / "program")],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entries)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    for entries in (["", lib], [lib, ""], [lib, "", ""]):
        value, has_folder, *found = path(entries)
        assert (value, has_folder) == (lib, "False")
        assert lib in found
    for entries in ([lib, "."], [str(tmp_path), lib, ""]):
        assert path(entries)[1] == "True"  # the user has named it


@pytest.mark.parametrize("start", [("-m", "bnexp"), ()], ids=["python -m bnexp", "bnexp"])
def test_a_plugin_in_the_working_folder_is_found_where_pythonpath_names_it_and_else_said_to_be_missing(
    start: tuple[str, ...], tmp_path: Path
) -> None:
    trap = Trap.__new__(Trap)
    trap.folder, trap.touched, trap.program = tmp_path / "work", tmp_path / "touched", tmp_path / "program"
    (tmp_path / "work" / "mine" / "schedule").mkdir(parents=True)
    trap.touched.mkdir()
    trap.program.write_text(START)
    (trap.folder / "myplugin.py").write_text(PLUGIN)
    node = "_target_: myplugin.flat\n_partial_: true\nheight: 1.0\n"
    (trap.folder / "mine" / "schedule" / "flat.yaml").write_text(node)
    words = ("train", *SMALL, "-cd", "mine", "schedule=flat")
    env = {"BNEXP_PLUGINS": "myplugin"}
    done = trap.run(*words, start=start, env=env, status=2)
    assert "myplugin cannot be imported (ModuleNotFoundError" in done.stderr
    assert "PYTHONPATH" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    trap.run(*words, start=start, env={**env, "PYTHONPATH": "."})


def test_the_children_of_multiprocessing_have_the_safe_path(tmp_path: Path) -> None:
    """Its server and tracker are started with ``python -c``."""
    for name in ("random", "signal", "socket", "threading", "selectors", "multiprocessing"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / f'{name} was run')!r}, 'w').close()\n")
    program = tmp_path / "bin" / "program"
    program.parent.mkdir()
    program.write_text(
        "from bnexp.import_path import protect\nprotect()\n"
        "import sys\nfrom bnexp.workers import CONTEXT\n"
        "if __name__ == '__main__':\n"
        "    process = CONTEXT.Process(target=print, args=('hello',))\n"
        "    process.start(); process.join(); sys.exit(process.exitcode)\n"
    )
    done = subprocess.run([sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert not list(tmp_path.glob("* was run"))
