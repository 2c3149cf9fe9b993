"""The tables of a study on terminals of many widths, and in a pipe."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.studies.conftest import MakeRun

from bnexp.analysis.arms import Arm
from bnexp.studies.evidence import Evidence
from bnexp.studies.show import print_outcome, print_plan
from bnexp.studies.study import DeclaredClaim, Target
from bnexp.studies.verdicts import verdicts

LABELS = [f"norm={norm} optimizer={name} [1e-05]" for norm in ("batch", "batch_renorm") for name in ("momentum", "sgd")]
ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
SENTENCE = "Batch norm reaches a better accuracy than its lack, whatever the optimizer is"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


Shown = Callable[[int, Callable[[], None]], list[str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Returns the lines that are printed on a terminal of some width; of width 0, in a pipe."""

    def call(width: int, show: Callable[[], None]) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", screen := Terminal() if width else io.StringIO())
            patch.setenv("COLUMNS", str(width or 80))
            patch.setenv("TERM", "xterm")
            show()
        return ANSI.sub("", screen.getvalue()).splitlines()

    return call


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return plan_in(Path("outputs/a-folder-with-a-name-as-long-as-those-of-arms-are"))


def plan_in(folder: Path) -> Any:
    target = Target("val/accuracy", 0.9)
    study = SimpleNamespace(
        name="s", question="which?", source=(), settings={}, target=target, no_target="", target_caution=""
    )
    arms = [
        SimpleNamespace(
            arm=SimpleNamespace(label=label),
            words=("model.depth=3", *label.split()),
            jobs=[SimpleNamespace(path=folder / f"{number}-s{seed}") for seed in (0, 1)],
            num_parameters=123_456_789,
        )
        for number, label in enumerate(LABELS)
    ]
    return SimpleNamespace(study=study, arms=arms, folder=Path("outputs/studies/s"))


def first_cells(lines: list[str], header: str) -> str:
    """Return the first column of a table, its folded lines joined."""
    start, rule = next((i, line) for i, line in enumerate(lines) if line.startswith(header))
    width = re.search(rf"{header}\s+", rule).end()  # type: ignore[union-attr]
    rows = []
    for line in lines[start + 2 :]:
        if line.startswith("no room for") or not line.strip():
            break
        rows.append(line[:width].strip())
    return "".join(rows)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_dry_run_names_all_arms_whole_on_any_terminal(shown: Shown, plan: Any, width: int) -> None:
    lines = shown(width, lambda: print_plan(plan, None))
    table = lines[2 : next(i for i, line in enumerate(lines) if line.startswith("all arms: "))]
    assert max(map(len, table)) <= width or any(line.startswith("no room") for line in table)
    assert not any(line.rstrip().endswith("…") for line in table)
    cells = first_cells([*table, ""], "arm").replace(" ", "")
    assert cells == "".join(LABELS).replace(" ", "")
    hidden = [line for line in lines if line.startswith("no room for: ")]
    assert [line.partition(" (")[0] for line in hidden] == {
        40: ["no room for: overrides, folder"],
        60: ["no room for: folder"],
        80: ["no room for: folder"],
        120: [],
    }[width]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_a_dry_run_names_all_arms_whole_however_long_their_folders_are(shown: Shown, width: int) -> None:
    for length in range(1, 150):
        plan = plan_in(Path("x" * length))
        lines = shown(width, lambda: print_plan(plan, None))  # noqa: B023  (is called at once)
        table = lines[2 : next(i for i, line in enumerate(lines) if line.startswith("all arms: "))]
        cells = first_cells([*table, ""], "arm").replace(" ", "")
        assert cells == "".join(LABELS).replace(" ", ""), length
        assert max(map(len, table)) <= width or any(line.startswith("no room") for line in table)


def test_a_pipe_gets_a_whole_line_for_each_arm(shown: Shown, plan: Any) -> None:
    lines = shown(0, lambda: print_plan(plan, None))
    for item in plan.arms:
        [line] = [line for line in lines if line.startswith(item.arm.label)]
        assert f"{item.jobs[0].path}"[:-1] + "0…1" in line


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_an_outcome_cuts_no_arm_number_or_claim(shown: Shown, plan: Any, make_run: MakeRun, width: int) -> None:
    arms = [
        Arm(label, {}, tuple(make_run(seed, [0.5, 0.9 + 0.01 * seed], arm=str(i)) for seed in range(3)))
        for i, label in enumerate(LABELS)
    ]
    evidence = Evidence(arms, plan.study.target, LABELS[0])
    claim = DeclaredClaim(
        SENTENCE, "C1", "difference", {"a": LABELS[0], "b": LABELS[1], "metric": "test/accuracy"}, 0.0, 1.0
    )
    lines = shown(width, lambda: print_outcome(plan, evidence, verdicts([claim], evidence), {}))
    tables = [line for line in lines if not line.startswith("study folder")]
    assert "…" not in "".join(tables)
    middle = next(i for i, line in enumerate(lines) if line == "which?")
    assert first_cells([*lines[:middle], ""], "arm").replace(" ", "") == "".join(LABELS).replace(" ", "")
    assert first_cells([*lines[middle:-1], ""], "claim").replace(" ", "") == SENTENCE.replace(" ", "")
    assert sum("0.9100" in line for line in lines) == 4
    # 0.91 ± 4.303 · 0.01/√3
    assert sum("0.8852 to 0.9348" in line for line in lines) == (4 if width >= 80 else 0)
    assert sum("123,456,789" in line for line in lines) == (4 if width >= 120 else 0)
