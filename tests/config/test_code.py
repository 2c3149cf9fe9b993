"""A run knows its code: what is called from outside bnexp, and what of bnexp itself, is part of its fingerprint."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import CommandLine

import bnexp

QUICK = [
    "dataset=two_features",
    "dataset.num_examples=100",
    "model=mlp",
    "model.width=4",
    "training.epochs=1",
    "training.device=cpu",
    "training.threads=1",
]
NORM = """\
import torch
from torch import nn
from bnexp.nn.norm import Norm
{imports}

class Scaled(nn.Module):
    def forward(self, x):
        return x * {factor}

def scaled(*, unused: int):
    return Norm(features=lambda features, has_shape: Scaled())
"""


class Plugin:
    """A package of a user's, with a norm in it, and the run that was trained with it."""

    def __init__(self, root: Path, call: CommandLine) -> None:
        self.root, self.call = root, call
        self.package = root / "code" / "mine"
        self.package.mkdir(parents=True)
        (self.package / "__init__.py").touch()
        (root / "choices" / "norm").mkdir(parents=True)
        (root / "choices" / "norm" / "scaled.yaml").write_text("_target_: mine.norms.scaled\nunused: 1\n")

    def write(self, name: str, text: str) -> None:
        (self.package / name).write_text(text)

    def train(self) -> str:
        """Train, and return the name of the run's folder."""
        env = {"BNEXP_PLUGINS": "mine", "PYTHONPATH": str(self.root / "code"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = self.call("train", "--config-dir", "choices", "norm=scaled", *QUICK, env=env)
        assert done.returncode == 0, done.stderr
        return next(line.rpartition("/")[2] for line in done.stdout.splitlines() if line.startswith("run folder"))


@pytest.fixture
def plugin(tmp_path: Path, bnexp: CommandLine) -> Plugin:
    found = Plugin(tmp_path, bnexp)
    found.write("norms.py", NORM.format(imports="from mine import helper", factor="1"))
    found.write("helper.py", "x = 1\n")
    return found


def edit_norm(plugin: Plugin) -> None:
    plugin.write("norms.py", NORM.format(imports="from mine import helper", factor="0"))


def edit_helper(plugin: Plugin) -> None:
    plugin.write("helper.py", "x = 2\n")


def edit_with_old_times(plugin: Plugin) -> None:
    """An editor, or a copy, that keeps the time and the length."""
    file = plugin.package / "norms.py"
    found = file.stat()
    edit_norm(plugin)
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def add_a_table(plugin: Plugin) -> None:
    plugin.write("table.csv", "1,2\n")


@pytest.mark.parametrize("change", [edit_norm, edit_helper, edit_with_old_times, add_a_table])
def test_an_edited_plugin_is_another_run(plugin: Plugin, change: Callable[[Plugin], None]) -> None:
    before = plugin.train()
    change(plugin)
    assert plugin.train() != before


def test_a_module_that_a_plugin_imports_from_elsewhere_counts_too(plugin: Plugin) -> None:
    beside = plugin.root / "code" / "constants.py"
    beside.write_text("factor = 1\n")
    plugin.write("norms.py", NORM.format(imports="from constants import factor", factor="factor"))
    before = plugin.train()
    beside.write_text("factor = 0\n")
    assert plugin.train() != before


def test_times_compiled_copies_and_places_are_no_part_of_it(plugin: Plugin) -> None:
    before = plugin.train()
    (plugin.package / "__pycache__").mkdir(exist_ok=True)
    (plugin.package / "__pycache__" / "norms.cpython-39.pyc").write_bytes(b"old")
    os.utime(plugin.package / "norms.py", (1, 1))
    assert plugin.train() == before
    shutil.move(plugin.root / "code", plugin.root / "elsewhere")
    (plugin.root / "code").symlink_to(plugin.root / "elsewhere")
    assert plugin.train() == before


def test_an_unfinished_run_of_other_code_is_named_and_not_resumed(plugin: Plugin) -> None:
    [folder] = plugin.root.glob(f"outputs/*/{plugin.train()}")
    for name in ("seal.json", "result.json"):
        (folder / name).unlink()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    edit_norm(plugin)
    [other] = plugin.root.glob(f"outputs/*/{plugin.train()}")
    assert other != folder
    [note] = [note for note in json.loads((other / "result.json").read_text())["notes"] if "not resumed" in note]
    assert note.startswith(str(folder.relative_to(plugin.root)))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_the_record_names_the_code(plugin: Plugin) -> None:
    name = plugin.train()
    [result] = plugin.root.glob(f"outputs/*/{name}/result.json")
    environment = json.loads(result.read_text())["environment"]
    assert {len(environment["code"]), len(environment["code/mine"])} == {64}


@pytest.mark.parametrize(
    ("part", "counts"),
    [
        ("nn/losses.py", True),
        ("data/split.py", True),
        ("models/layers.py", True),
        ("optim/schedules.py", True),
        ("training/step.py", True),
        ("seeding.py", True),
        ("experiment.py", True),
        ("cli/listing.py", False),
        ("report/html.py", False),
        ("analysis/table.py", False),
    ],
)
def test_an_edit_of_bnexp_itself_counts_where_it_can_change_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, counts: bool
) -> None:
    from bnexp.config import code

    shutil.copytree(Path(bnexp.__file__).parent, tmp_path / "bnexp", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(bnexp, "__file__", str(tmp_path / "bnexp" / "__init__.py"))
    digests = []
    for addition in ("", "\n# edited\n"):
        with (tmp_path / "bnexp" / part).open("a") as file:
            file.write(addition)
        code.own_digest.cache_clear()
        digests.append(code.own_digest())
    code.own_digest.cache_clear()
    assert (digests[0] != digests[1]) == counts
