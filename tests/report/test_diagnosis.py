"""The rules of the diagnosis, one after the other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.report.diagnosis import GAP, LOW, diagnose
from bnexp.report.numbers import accuracy, points

CASES = [
    ({"share_diverged": 1.0}, "training diverges: "),
    ({"share_diverged": 0.1, "train": 0.12}, "training diverges in 10% of the runs: "),
    ({"train": math.nan}, "unknown: no training accuracy"),
    ({"gap": math.nan}, "unknown: a run has no score"),
    ({"train": 0.99, "gap": 0.99 - 0.94}, "overfits"),  # 0.050000000000000044
    ({"train": 0.95, "gap": 0.95 - 0.9}, "overfits"),  # 0.04999999999999993
    ({"share_guessing": 1.0, "gap": 0.3}, "does not train: "),
    ({"share_guessing": 0.25, "train": 0.8}, "does not train in 25% of the runs: "),
    ({"train": 1.0, "gap": 0.05}, "overfits"),
    ({"train": 0.94, "gap": 0.2}, "overfits"),
    ({"train": 0.949, "gap": 0.049, "share_improving": 0.5}, "still improving"),
    ({"train": 0.949, "gap": 0.049, "share_improving": 0.4}, "underfits"),
    ({"train": 0.949, "gap": -0.002}, "nothing stands out"),
    ({"train": 0.95, "gap": 0.049, "share_improving": 1.0}, "nothing stands out"),
]


@pytest.mark.parametrize(("change", "start"), CASES)
def test_the_first_rule_that_holds_is_given(change: dict[str, float], start: str) -> None:
    values = {"train": 0.99, "gap": 0.0, "share_diverged": 0.0, "share_guessing": 0.0, "share_improving": 0.0} | change
    assert diagnose(**values).startswith(start)  # type: ignore[arg-type]


@given(st.floats(0, 1), st.floats(0, 1) | st.sampled_from([GAP, LOW, 0.9, 0.94]))
def test_the_rules_go_by_the_numbers_that_stand_beside_them(train: float, val: float) -> None:
    found = diagnose(train, train - val, 0.0, 0.0, 0.0)
    gap = float(points(train - val).replace("−", "-"))
    assert found.startswith("overfits") == (gap >= 0.05)
    if gap < 0.05:
        both_low = float(accuracy(train)) < 0.95 and float(accuracy(val)) < 0.95
        assert found.startswith("underfits") == both_low
