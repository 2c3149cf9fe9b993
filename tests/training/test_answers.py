"""What an answer counts, against the average over every way to break a tie."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnexp.training.answers import credit, num_correct, wide

LOGITS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, 1e30, -1e30, 1e-45])


def average_over_orders(logits: list[float], label: int) -> Fraction:
    """How often the label wins if the first of the largest wins, over all orders in which the classes may stand."""
    orders = list(permutations(range(len(logits))))
    wins = sum(max(order, key=lambda index: logits[index]) == label for order in orders)  # max keeps the first
    return Fraction(wins, len(orders))


@given(st.lists(LOGITS, min_size=2, max_size=5), st.data())
@settings(max_examples=100, deadline=None)
def test_an_answer_counts_what_the_first_of_the_largest_gets_on_average_over_all_orders_of_the_classes(
    logits: list[float], data: st.DataObject
) -> None:
    label = data.draw(st.integers(0, len(logits) - 1))
    [found] = credit(torch.tensor([logits]), torch.tensor([label])).tolist()
    assert found == pytest.approx(float(average_over_orders(logits, label)), rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("label", range(3))
def test_what_is_no_answer_is_never_right(dtype: torch.dtype, value: float, place: int, label: int) -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]], dtype=dtype)
    logits[0, place] = value
    labels = torch.tensor([label, 1])
    assert credit(logits, labels).isnan().tolist() == [True, False]
    assert num_correct(logits, labels).item() == 1


def test_answers_are_counted_beyond_what_float32_can_count() -> None:
    before = torch.tensor(2.0**24, dtype=wide(torch.device("cpu")))
    assert (before + num_correct(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))).item() == 2**24 + 1
