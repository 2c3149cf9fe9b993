"""What chance alone can do to an accuracy on so many examples: how far it may be off, and how high guessing may get."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bnexp.analysis.statistics.estimate import CONFIDENCE

SELDOM = 0.00135
"""How often a guesser exceeds the ceiling: three standard deviations of a normal distribution, 1 in 740."""

WIDE = 0.05
"""Half the width of an interval from which on the examples are too few to tell what one would want to know."""


class Answers(NamedTuple):
    """How a network answered the examples of one split: the share that is right, of so many."""

    accuracy: float
    num_examples: int


def chance_ceiling(chance: float, num_examples: int) -> float:
    """Return the share of right answers that guessing exceeds once in 740 times or less often.

    Of N guesses that are right with probability p, the smallest k/N with P(X ≤ k) ≥ 1 − 0.00135, X ~ Binomial(N, p).
    The normal approximation p + 3 √(p(1 − p)/N) may lie beyond 1, and is too low for rare classes.

    Args:
        chance: the probability, of the most frequent class.
        num_examples: N.
    """
    from scipy.stats import binom

    return float(binom.ppf(1 - SELDOM, num_examples, chance)) / num_examples


def may_guess(chance: float, answers: Iterable[Answers]) -> bool:
    """Whether a network may be guessing: on none of some splits is it better than guessing may be.

    One split above the ceiling is enough to say that it learned something, however few the others' examples are. A
    split without a score (NaN) says nothing for it.
    """
    return not any(accuracy > chance_ceiling(chance, num_examples) for accuracy, num_examples in answers)


def binomial_interval(accuracy: float, num_examples: int) -> tuple[float, float]:
    """Return Clopper and Pearson's (1934) interval of the accuracy on all examples there might be.

    Of k right answers to N independent examples: from the α/2 quantile of Beta(k, N − k + 1) to the 1 − α/2 quantile of
    Beta(k + 1, N − k); k need not be whole.
    """
    from scipy.special import betaincinv

    right, tail = accuracy * num_examples, (1 - CONFIDENCE) / 2
    low = float(betaincinv(right, num_examples - right + 1, tail)) if right > 0 else 0.0
    high = float(betaincinv(right + 1, num_examples - right, 1 - tail)) if right < num_examples else 1.0
    return low, high


def is_coarse(accuracy: float, num_examples: int) -> bool:
    """Whether so few examples leave the accuracy open by more than ± :data:`WIDE`."""
    low, high = binomial_interval(accuracy, num_examples)
    return high - low > 2 * WIDE
