"""The table behind a multirun: an arm's mean counts every run with an answer, and the others are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.sealing import end_by_hand, seal_again

from bnexp.analysis.summary import Planned, print_summary


def planned(folder: Path, arm: str, runs: list[tuple[str, float | None]]) -> list[Planned]:
    found = []
    for seed, (status, accuracy) in enumerate(runs):
        path = folder / arm / f"f-s{seed}"
        path.mkdir(parents=True)
        metrics = {} if accuracy is None else {"test/accuracy": accuracy, "val/accuracy": accuracy / 2}
        if status != "missing":
            end_by_hand(path, status, seed=seed)
            result = json.loads((path / "result.json").read_text()) | {"metrics": metrics}
            (path / "result.json").write_text(json.dumps(result))
            if status in ("done", "diverged"):
                seal_again(path)
        found.append(Planned((arm, "model.width=8"), seed, path))
    return found


def table(capsys: pytest.CaptureFixture[str], *runs: Planned) -> dict[str, list[str]]:
    print_summary(runs, Path("here"))
    lines = [line.replace("┃", "│") for line in capsys.readouterr().out.splitlines()]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "│" in line]
    return {row[0]: row[1:] for row in rows}


def test_diverged_runs_count_with_their_accuracy_and_are_counted_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [0.9, 0.8, 0.1, 0.1]
    statuses = ["done", "done", "diverged", "diverged"]
    runs = planned(tmp_path, "lr=1", list(zip(statuses, values, strict=True)))
    rows = table(capsys, *runs, *planned(tmp_path, "lr=0.1", [("done", 0.5)]))
    test, val = (f"{np.mean(x):.4f} ± {np.std(x, ddof=1):.4f}" for x in (values, np.array(values) / 2))
    assert rows == {
        "arm": ["n", "test accuracy", "validation accuracy", "diverged"],
        "lr=1": ["4", test, val, "2"],
        "lr=0.1": ["1", "0.5000", "0.2500", ""],
    }


def test_runs_without_an_answer_are_named_by_what_became_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = planned(tmp_path, "lr=1", [("failed", None), ("missing", None), ("missing", None), ("done", 0.5)])
    rows = table(capsys, *runs)
    assert rows["arm"][3:] == ["not done"]
    assert rows["(all)"] == ["1", "0.5000", "0.2500", "1 failed, 2 missing"]


def test_the_plain_table_has_no_column_for_exceptions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(capsys, *planned(tmp_path, "lr=1", [("done", 0.5), ("done", 0.7)]))
    assert rows == {
        "arm": ["n", "test accuracy", "validation accuracy"],
        "(all)": ["2", "0.6000 ± 0.1414", "0.3000 ± 0.0707"],
    }
