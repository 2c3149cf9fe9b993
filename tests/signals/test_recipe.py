"""Each rule with a number that keeps it and one that does not."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.signals import recipe
from bnexp.signals.first_steps import Agreement, Fit
from bnexp.signals.overview import Overview, Values

VALUES = Values(0.0, 1.0, -2.0, 2.0)
COUNTS = {"train": {"a": 400, "b": 400}, "val": {"a": 50, "b": 50}, "test": {"a": 50, "b": 50}}
DATA = Overview((3, 8, 8), COUNTS, VALUES, VALUES, 1.0, 0.5, 0, {"train": 3, "val": 0, "test": 0})
FIT = Fit(12, 12, 1.0, 0.1, (), ())


@pytest.mark.parametrize(("scale", "passes"), [(1.0, True), (0.31, True), (7.8, False), (120.0, False), (1e-3, False)])
def test_inputs_far_from_1_fail(scale: float, passes: bool) -> None:
    assert recipe.check_scale(dataclasses.replace(DATA, largest_scale=scale)).passed is passes


@pytest.mark.parametrize(("shared", "passes"), [(0, True), (2, True), (3, False)])
def test_more_than_one_in_a_hundred_in_two_splits_fails(shared: int, passes: bool) -> None:
    found = recipe.check_leakage(dataclasses.replace(DATA, duplicates={"train": 9, "val": shared, "test": 0}))
    assert (found.passed, found.value) == (passes, shared / 200)


@pytest.mark.parametrize(("multiple", "passes"), [(1.0, True), (1.5, True), (2.7, False), (math.nan, False)])
def test_an_initial_loss_far_above_chance_fails(multiple: float, passes: bool) -> None:
    assert recipe.check_initial_loss(multiple * math.log(10), 10).passed is passes


def test_parameters_without_a_gradient_fail_and_are_named() -> None:
    assert recipe.check_gradients(FIT, 8).passed
    found = recipe.check_gradients(FIT._replace(unreached=("a.weight", "a.bias"), broken=("b.weight",)), 8)
    assert not found.passed
    assert found.value == 5 / 8
    assert found.measured.endswith("not: a.weight, a.bias, b.weight")


def test_a_long_list_of_names_is_cut() -> None:
    found = recipe.check_gradients(FIT._replace(unreached=tuple("abcdef")), 8)
    assert found.measured.endswith("not: a, b, c, d and 2 more")


def test_a_batch_that_is_not_learned_fails() -> None:
    assert recipe.check_fit(FIT, 64).passed
    found = recipe.check_fit(FIT._replace(step=None, num_steps=30, accuracy=0.98), 64)
    assert not found.passed
    assert "at best 98% right in 30 steps" in found.measured


@pytest.mark.parametrize(("same", "passes"), [(1.0, True), (0.95, True), (0.9, False)])
def test_modes_that_disagree_fail(same: float, passes: bool) -> None:
    assert recipe.check_agreement(Agreement(same, 0.01)).passed is passes


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)]


@given(st.floats(2.9, 3.1) | st.floats(0.09, 0.11) | st.sampled_from([3.0004, 3.005, 0.09996, 0.0995]))
def test_a_scale_fails_where_the_number_that_is_written_breaks_the_rule_that_is_written(scale: float) -> None:
    found = recipe.check_scale(dataclasses.replace(DATA, largest_scale=scale))
    low, high = numbers(found.rule)
    assert found.passed == (low <= numbers(found.measured)[1] <= high)


@given(st.floats(1.98, 2.02) | st.sampled_from([2.004, 2.005, 2.0049999]))
def test_so_does_an_initial_loss(multiple: float) -> None:
    found = recipe.check_initial_loss(multiple * math.log(10), 10)
    assert found.passed == (numbers(found.measured)[1] <= numbers(found.rule)[0])


@given(st.integers(0, 128))
def test_so_does_an_agreement(same: int) -> None:
    found = recipe.check_agreement(Agreement(same / 128, 0.01))
    assert found.passed == (numbers(found.measured)[0] >= numbers(found.rule)[0])


@given(st.integers(0, 400), st.integers(2, 60_000))
def test_so_do_repeated_examples(shared: int, total: int) -> None:
    counts = {"train": {"a": 1}, "val": {"a": total // 2}, "test": {"a": total - total // 2}}
    data = dataclasses.replace(DATA, counts=counts, duplicates={"train": 0, "val": shared, "test": 0})
    assert recipe.check_leakage(data).passed == (100 * shared <= total)


@given(st.floats(0, 1, exclude_max=True) | st.sampled_from([0.995, 0.9951, 127.5 / 128, 1 - 1e-9]))
def test_a_batch_that_is_not_learned_is_never_said_to_be_100_per_cent_right(accuracy: float) -> None:
    assert "100%" not in recipe.check_fit(FIT._replace(step=None, accuracy=accuracy), 64).measured
