"""What a configuration may call: what bnexp's own choices name, group by group, and what a plugin exports."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import bnexp
from bnexp.config.folder import config_dir
from bnexp.config.targets import NUM_INJECTED, registered, resolve
from bnexp.errors import ConfigError
from bnexp.text import printable


def named(group: str) -> set[str]:
    """All targets in the files of a group, wherever they stand in a file."""

    def search(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key == "_target_")
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from search(item)

    files = (config_dir() / group).glob("*.yaml")
    return {target for file in files for target in search(yaml.safe_load(file.read_text(encoding="utf-8")))}


def everything(package: Any) -> Iterator[str]:
    """Each dotted name of something callable in a package, private and borrowed ones too, and methods of classes."""
    modules = [package.__name__, *(one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))]
    for name in modules:
        if name.endswith("__main__"):
            continue
        for key, value in vars(import_module(name)).items():
            if callable(value):
                yield f"{name}.{key}"
            if inspect.isclass(value):
                yield from (f"{name}.{key}.{method}" for method in vars(value))
            if inspect.ismodule(value):
                yield from (f"{name}.{key}.{function}" for function in vars(value))


@pytest.mark.parametrize("group", NUM_INJECTED)
def test_the_callables_that_a_configuration_reaches_are_those_that_the_groups_choices_name(
    group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BNEXP_PLUGINS", raising=False)
    reached = set()
    for path in {*everything(bnexp), *(f"torch.nn.{name}" for name in dir(torch.nn)), *named(group)}:
        try:
            resolve(path, group)
        except ConfigError:
            continue
        reached.add(path)
    assert reached == named(group) == registered(group)


def test_every_group_of_a_run_has_a_target_and_no_two_groups_share_one() -> None:
    targets = [target for group in NUM_INJECTED for target in named(group)]
    assert all(named(group) for group in NUM_INJECTED)
    assert len(targets) == len(set(targets))
    assert not any(part.startswith("_") for target in targets for part in target.split("."))


@pytest.mark.parametrize("group", ["study", "hydra", "", "../configs/norm", "nowhere"])
def test_a_group_that_no_run_has_has_no_targets(group: str) -> None:
    with pytest.raises(ConfigError):
        resolve("bnexp.nn.norms.batch", group)


PLUGIN = {
    "__init__.py": "from goodplugin.norms import peak\n",
    "norms.py": """\
import os, subprocess, builtins
from functools import partial, wraps
from bnexp.data.download import obtain
from torch.nn import BatchNorm2d

def peak(*, scale: float): return scale
def _hidden(): pass
class Public:
    @staticmethod
    def make(): return 1
    @staticmethod
    def _secret(): pass
    command = os.system
def runs(command): return os.system(command)
ready = partial(os.system, "true")
alias = os.system
value = 3
""",
    "_private.py": "def function(): pass\n",
    "missing.py": "import a_package_that_is_not_there\n",
    "wrong.py": "x = 1\ndef f(:\n",
    "raises.py": "def inner():\n    raise RuntimeError('first\\nsecond')\ninner()\n",
    "leaves.py": "import sys\nsys.exit(3)\n",
    "nul.py": "x = '\\x00'\n",
}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "goodplugin"
    folder.mkdir()
    for name, text in PLUGIN.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("BNEXP_PLUGINS", " goodplugin ,another")
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "goodplugin"]:
        del sys.modules[name]


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("path", ["goodplugin.peak", "goodplugin.norms.peak", "goodplugin.norms.Public.make"])
def test_what_a_plugin_exports_may_be_called(path: str) -> None:
    found: Callable[..., Any] = resolve(path, "norm")
    assert found.__module__ == "goodplugin.norms"


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    "path",
    [
        *("goodplugin.norms._hidden", "goodplugin._private.function", "goodplugin.norms.Public._secret"),
        *("goodplugin.norms.peak.__globals__", "goodplugin.norms.peak.__call__", "goodplugin.norms.Public.__init__"),
        *("goodplugin.norms.os.system", "goodplugin.norms.subprocess.run", "goodplugin.norms.builtins.exec"),
        *("goodplugin.norms.obtain", "goodplugin.norms.BatchNorm2d", "goodplugin.norms.partial"),
        *("goodplugin.norms.ready", "goodplugin.norms.alias", "goodplugin.norms.value", "goodplugin.norms.nothing"),
        *("goodplugin.norms.Public.command", "goodplugin.norms.Public.mro", "goodplugin.norms", "goodplugin"),
        *("goodplugin", "goodplugin.", "goodplugin..norms.peak", "goodplugin.norms.peak.", "goodplugin2.norms.peak"),
        *("goodplugin.norms.peak ", "goodplugin/norms.peak", "goodplugin.norms.\npeak"),
    ],
)
def test_what_is_private_or_not_the_plugins_own_may_not(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(path, "norm")
    assert str(caught.value).startswith(f"norm._target_={printable(path)}")


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("another.f", "another cannot be imported (ModuleNotFoundError: No module named 'another')"),
        ("another.module.f", "another cannot be imported (ModuleNotFoundError: No module named 'another')"),
        ("goodplugin.missing.f", "(ModuleNotFoundError: No module named 'a_package_that_is_not_there', FILE, line 1)"),
        ("goodplugin.wrong.f", "(SyntaxError: invalid syntax (wrong.py, line 2), FILE, line 2)"),
        ("goodplugin.raises.f", "(RuntimeError: first second, FILE, line 2)"),
        ("goodplugin.leaves.f", "(SystemExit: 3, FILE, line 2)"),
    ],
)
def test_a_plugin_that_cannot_be_imported_says_why_and_where_and_where_plugins_belong(
    path: str, reason: str, plugin: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(path, "norm")
    message = str(caught.value)
    assert reason.replace("FILE", str(plugin / f"{path.split('.')[1]}.py")) in message
    assert "PYTHONPATH" in message
    assert "\n" not in message
