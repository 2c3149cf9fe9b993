"""The plan of the house: imports only go down, and no floor-1 room imports another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "bnexp"

FLOORS = {
    "errors": 0,
    "ranges": 0,
    "seeding": 0,
    "sockets": 0,
    "atomic": 0,
    "files": 0,
    "garbage": 0,
    "locking": 0,
    "global_generators": 0,
    "import_path": 0,
    "plain_yaml": 0,
    "text": 0,
    "console": 0,
    "machine": 0,
    "data": 1,
    "nn": 1,
    "models": 1,
    "optim": 1,
    "signals": 2,
    "training": 2,
    "analysis": 3,
    "compatibility": 3,
    "config": 3,
    "construction": 3,
    "environment": 3,
    "experiment": 3,
    "preload": 3,
    "replicas": 3,
    "report": 3,
    "run": 3,
    "studies": 3,
    "workers": 3,
    "cli": 4,
    "__main__": 4,
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = [file for file in sorted(SOURCE.rglob("*.py")) if file != SOURCE / "__init__.py"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_only_go_down(file: Path) -> None:
    own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    for module in imports(file):
        if module.split(".")[0] == "bnexp" and room(module) in FLOORS:
            other = room(module)
            assert FLOORS[other] <= FLOORS[own], f"{own} imports {module}"
            assert FLOORS[own] != 1 or other == own or FLOORS[other] == 0, f"{own} imports {module}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_only_config_and_the_top_know_hydra(file: Path) -> None:
    own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    knows = any(module.split(".")[0] in ("hydra", "omegaconf") for module in imports(file))
    assert not knows or own in ("config", "studies", "cli"), f"{own} imports Hydra"


def test_every_file_has_a_floor() -> None:
    assert {file.relative_to(SOURCE).parts[0].removesuffix(".py") for file in FILES} <= FLOORS.keys()
