"""The section Signals of a report: there where runs recorded signals, and with the figures of what they recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.conftest import FakeRun, MakeOutcome
from tests.sealing import seal_again

from bnexp.analysis.signals import DepthAndTime
from bnexp.report.figures.signal_maps import draw_signal_maps
from bnexp.report.outcome import Outcome
from bnexp.report.signal_section import signal_sections
from bnexp.studies.record import read_evidence, write_results

STUDY = {"arms": {"plain": ["norm=none"], "normed": ["norm=batch"]}, "baseline": "plain", "seeds": 2, "claims": []}


@pytest.fixture
def outcome(make_outcome: MakeOutcome) -> Outcome:
    runs = {arm: [FakeRun([0.5, 0.9], 0.9)] * 2 for arm in ("plain", "normed")}
    return make_outcome(STUDY, runs)


def with_signals(outcome: Outcome, **signals: float) -> Outcome:
    """The same study, whose runs have these signals in each row."""
    for job in outcome.plan.jobs:
        metrics = job.path / "metrics.jsonl"
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
        found: dict[str, Any] = {
            f"signal/{layer}/{name.replace('__', '/')}": value
            for layer in ("first", "last")
            for name, value in signals.items()
        }
        metrics.write_text("".join(json.dumps(row | found) + "\n" for row in rows))
        seal_again(job.path)
    evidence, _ = read_evidence(outcome.plan)
    write_results(outcome.plan, evidence, outcome.verdicts)
    return Outcome(outcome.plan, evidence, outcome.verdicts)


def test_without_signals_there_is_no_section_and_no_table(outcome: Outcome, tmp_path: Path) -> None:
    assert signal_sections(outcome, tmp_path / "figures") == ()
    assert not (outcome.plan.folder / "signals.csv").exists()


def test_each_recorded_statistic_that_is_not_0_everywhere_is_drawn(outcome: Outcome, tmp_path: Path) -> None:
    found = with_signals(outcome, gradient_norm=0.1, dead_fraction=0.0, unit3__p15=-1.0, unit3__p50=0.0, unit3__p85=1.0)
    [section] = signal_sections(found, tmp_path / "figures")
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == {"signal-gradient-norm", "signal-unit"}
    assert "unit 3 of the last hidden layer" in str(section.blocks[-1])


def test_a_study_writes_signals_in_a_table_of_their_own_and_leaves_curves_as_they_are(outcome: Outcome) -> None:
    columns = (outcome.plan.folder / "curves.csv").read_text().splitlines()[0]
    with_signals(outcome, gradient_norm=0.1)
    lines = (outcome.plan.folder / "signals.csv").read_text().splitlines()
    assert lines[0] == "arm,seed,step,epoch,layer,statistic,value"
    assert len(lines) == 1 + 2 * 2 * 2 * 2  # arms, seeds, evaluations, layers
    assert (outcome.plan.folder / "curves.csv").read_text().splitlines()[0] == columns


def test_a_map_draws_every_arm_on_one_scale_and_gaps_as_gaps() -> None:
    maps = {
        "one": DepthAndTime(("a", "b"), np.array([1.0, 2.0]), np.array([[1.0, 10.0], [np.nan, 0.0]])),
        "other": DepthAndTime(("a",), np.array([1.0]), np.array([[1000.0]])),
    }
    figure = draw_signal_maps(maps, logarithmic=True)
    meshes = [axes.collections[0] for axes in figure.axes[:2]]
    assert {mesh.get_clim() for mesh in meshes} == {(1.0, 1000.0)}
    assert meshes[0].get_array().mask.tolist() == [[False, False], [True, True]]
