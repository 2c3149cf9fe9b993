"""The plot over depth: a line for each arm, the layers' own numbers on it, and scales that can be read."""

from __future__ import annotations

import numpy as np
import pytest
from tests.signals.nets import deep, inspected

from bnexp.analysis.arms import Arm
from bnexp.analysis.depth import draw_depth


def arm(**settings: str) -> Arm:
    return Arm(" ".join(f"{key}={value}" for key, value in settings.items()), settings, ())


@pytest.mark.parametrize("depth", [3, 50])
def test_each_arm_has_its_numbers_in_both_panels(depth: int) -> None:
    arms = [arm(init="xavier", norm="none"), arm(init="he", norm="none"), arm(init="he", norm="batch")]
    nets = [deep(1, depth, 32), deep(2, depth, 32), deep(2, depth, 32, norm=True)]
    found = [inspected(net, 32) for net in nets]
    forward, backward = draw_depth(arms, found).axes
    for pane, value in ((forward, "preactivation_std"), (backward, "preactivation_gradient_norm")):
        for line, inspection in zip(pane.get_lines(), found, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), range(1, depth + 2))
            np.testing.assert_allclose(line.get_ydata(), [getattr(layer, value) for layer in inspection.layers])
        assert pane.get_yscale() == "log"
        assert pane.get_xlim()[0] > 0
        ticks = [tick for tick in pane.get_xticks() if 1 <= tick <= depth + 1]
        assert 3 <= len(ticks) <= 13
        assert all(float(tick).is_integer() for tick in ticks)
    colours = [line.get_color() for line in forward.get_lines()]
    dashes = [line.get_linestyle() for line in forward.get_lines()]
    assert colours[1] == colours[2] != colours[0]
    assert dashes[0] == dashes[1] != dashes[2]


def test_equal_numbers_are_no_trend_and_zeros_have_no_point() -> None:
    net = deep(2, 3, 32)
    flat = inspected(net, 32)
    net[6].weight.data.zero_()
    blocked = inspected(net, 32)
    forward, backward = draw_depth([arm(init="he"), arm(init="zeros")], [flat, blocked]).axes
    low, high = forward.get_ylim()
    assert high / low == pytest.approx(100)
    heights = backward.get_lines()[1].get_ydata()
    assert np.isnan(heights[:-1]).all()
    assert np.isfinite(heights[-1])
