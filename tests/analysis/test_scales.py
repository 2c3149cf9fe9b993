"""Ticks that values can be read off, in any range; colour bars without a picture inside."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from bnexp.analysis.scales import LEAST_RATIO, colour_bar, log_ticks, plain, set_log_scale

EXPONENTS = st.floats(-250, 250)  # beyond, a tenth of a value is a denormal number
RATIOS = st.one_of(st.floats(LEAST_RATIO, 1.5), st.floats(1.5, 1e3), st.floats(1e3, 1e300))


@given(EXPONENTS, RATIOS)
def test_every_range_gets_two_to_six_numbers_within_it(exponent, ratio):
    low = 10.0**exponent
    high = min(low * ratio, 1.7e308)
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 6
    assert ticks == sorted(set(ticks))
    assert low <= ticks[0]
    assert ticks[-1] <= high


@given(EXPONENTS, RATIOS)
def test_the_numbers_at_ticks_are_different_and_true(exponent, ratio):
    ticks = log_ticks(10.0**exponent, min(10.0**exponent * ratio, 1.7e308))
    shown = [float(text.replace("−", "-")) for text in plain(ticks)]
    assert len(set(shown)) == len(ticks)
    assert shown == pytest.approx(ticks, rel=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [
        (1, 10, ["1", "2", "5", "10"]),
        (0.35, 2.1, ["0.5", "1", "2"]),
        (0.55, 4.5, ["1", "2", "3", "4"]),
        (6, 9, ["6", "7", "8", "9"]),
        (2.3, 2.31, ["2.3", "2.305", "2.31"]),
        (0.011, 9.5, ["0.03", "0.1", "0.3", "1", "3"]),
        (1e-7, 1.5e-7, ["1e−7", "1.2e−7", "1.4e−7"]),
        (1e-3, 1e6, ["0.01", "1", "100", "10000", "1e6"]),
    ],
)
def test_the_numbers_are_round(low, high, numbers):
    assert plain(log_ticks(low, high)) == numbers


@pytest.mark.parametrize(
    "values", [[2.3, 2.3], [2.3026, 2.3025], [0.9, 0.4], [9.99, 1.01], [3e-12, 4e8], [1e-30, 1e-30]]
)
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_logarithmic_axis_has_numbers_whatever_is_drawn(values, name):
    axes = Figure().add_subplot()
    numbers = range(len(values))
    axes.plot(*((values, numbers) if name == "x" else (numbers, values)))
    set_log_scale(axes, name)
    axis = axes.xaxis if name == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    assert low < min(values) <= max(values) < high
    shown = [label.get_text() for tick, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
             if low <= tick <= high]  # fmt: skip
    assert len(set(shown)) == len(shown) >= 2
    assert all(shown)


@pytest.mark.parametrize("norm", [Normalize(0, 1), LogNorm(2.1, 2.9), LogNorm(1e-6, 1e6)])
def test_a_colour_bar_is_made_of_shapes_and_has_numbers(norm):
    figure = Figure()
    axes = figure.add_subplot()
    drawn = axes.pcolormesh(np.array([[norm.vmin, norm.vmax]]), norm=norm, cmap="cividis")
    bar = colour_bar(figure, drawn, [axes])
    svg = io.StringIO()
    figure.savefig(svg, format="svg")
    assert "<image" not in svg.getvalue()
    assert "data:" not in svg.getvalue()
    low, high = bar.ax.get_ylim()
    assert len([tick for tick in bar.ax.get_yticks() if low <= tick <= high]) >= 2
    assert (low, high) == pytest.approx((norm.vmin, norm.vmax))
