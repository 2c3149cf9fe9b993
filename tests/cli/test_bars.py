"""Bars and lines of text against heights known beforehand."""

from __future__ import annotations

import math

import pytest

from bnexp.cli.bars import Scale, bar, sparkline


def test_three_decades_lie_between_an_empty_bar_and_a_full_one() -> None:
    scale = Scale([1.0, 0.5])
    assert scale.height(1.0) == 1
    assert scale.height(10**-1.5) == pytest.approx(0.5)
    assert scale.height(1e-3) == pytest.approx(0)
    assert scale.height(1e-9) == 0


def test_a_wider_range_stretches_the_scale() -> None:
    scale = Scale([1e-12, 1.0])
    assert scale.height(1e-6) == pytest.approx(0.5)


@pytest.mark.parametrize("value", [0.0, math.inf, math.nan])
def test_what_has_no_logarithm_has_no_height(value: float) -> None:
    assert Scale([value, 1.0]).height(value) is None
    assert bar(None, 8) == ""


def test_bars_grow_by_eighths_and_never_vanish() -> None:
    assert bar(1.0, 8) == "█" * 8
    assert bar(0.5, 8) == "█" * 4
    assert bar(0.5 + 3 / 64, 8) == "█" * 4 + "▍"
    assert bar(0.0, 8) == "▏"


def test_a_line_has_a_letter_for_each_height_as_far_as_there_is_room() -> None:
    assert sparkline([0.0, 0.5, 1.0, None], 16) == "▁▅█·"
    assert sparkline([0.0] + [0.5] * 98 + [1.0], 4) == "▁▅▅█"
    assert sparkline([1.0], 16) == "█"
