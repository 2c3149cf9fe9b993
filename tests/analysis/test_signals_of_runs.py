"""Signals of recorded runs: tidy rows, and depth × time averaged over seeds by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.analysis.synthetic import write_run

from bnexp.analysis.arms import Arm
from bnexp.analysis.runs import Run, read_run
from bnexp.analysis.signals import Signal, depth_and_time, parse, recorded, tidy_signals, without_signals


def run_of(root: Path, seed: int, *values: tuple[float | None, float | None]) -> Run:
    """A run of two layers; ``values`` are their gradient norms at epochs 1, 2, …"""
    rows: list[dict[str, Any]] = [
        {
            "step": 10 * epoch,
            "epoch": float(epoch),
            "val/accuracy": 0.5,
            "signal/first.layer/gradient_norm": first,
            "signal/last/gradient_norm": last,
            "signal/last/unit0/p50": 0.25,
            "signal/loss_min": 1.5,
        }
        for epoch, (first, last) in enumerate(values, 1)
    ]
    return read_run(write_run(root, seed=seed, rows=rows))


def test_a_key_names_a_layer_and_a_statistic_or_a_statistic_of_the_whole_network() -> None:
    assert parse("signal/hidden.0.layer/unit0/p15") == Signal("hidden.0.layer", "unit0/p15")
    assert parse("signal/hessian_largest") == Signal("", "hessian_largest")
    assert parse("val/loss") is None


def test_depth_and_time_is_the_mean_over_the_seeds_that_have_a_value(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, 0, (1.0, 10.0), (2.0, None)), run_of(tmp_path, 1, (3.0, 30.0))]
    found = depth_and_time(runs, "gradient_norm")
    assert found.layers == ("first.layer", "last")
    assert found.epochs.tolist() == [1, 2]
    np.testing.assert_array_equal(found.mean, [[2.0, 2.0], [20.0, np.nan]])


def test_an_arm_without_the_statistic_has_no_layers(tmp_path: Path) -> None:
    found = depth_and_time([run_of(tmp_path, 0, (1.0, 1.0))], "dead_fraction")
    assert (found.layers, found.mean.shape) == ((), (0, 0))


def test_tidy_rows_have_one_number_each_and_the_rest_of_a_row_has_none_of_them(tmp_path: Path) -> None:
    run = run_of(tmp_path, 7, (1.0, 2.0))
    rows = tidy_signals("arm", run)
    assert len(rows) == 4
    assert rows[0] == {
        "arm": "arm",
        "seed": 7,
        "step": 10,
        "epoch": 1.0,
        "layer": "first.layer",
        "statistic": "gradient_norm",
        "value": 1.0,
    }
    assert rows[3]["layer"] == ""
    assert without_signals(run.rows[0]) == {"step": 10, "epoch": 1.0, "val/accuracy": 0.5}


def test_statistics_of_layers_are_known_by_name(tmp_path: Path) -> None:
    arm = Arm("arm", {}, (run_of(tmp_path, 0, (1.0, 1.0)),))
    assert recorded([arm]) == {"gradient_norm", "unit0/p50"}
