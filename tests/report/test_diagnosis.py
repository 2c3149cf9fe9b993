"""The rules of the diagnosis, one after the other."""

from __future__ import annotations

import math

import pytest

from bnexp.report.diagnosis import diagnose

CASES = [
    ({"share_diverged": 1.0}, "training diverges: "),
    ({"share_diverged": 0.1, "train": 0.12}, "training diverges in 10% of the runs: "),
    ({"train": math.nan}, "unknown"),
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
