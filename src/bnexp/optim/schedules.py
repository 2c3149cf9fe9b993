"""Learning-rate schedules: functions of the step that return the factor on the optimizer's learning rate.

Each takes the ``step`` (from 0) and the number of steps of the whole training, and keeps no state.
"""

from __future__ import annotations

from math import cos, pi

from bnexp.ranges import Fraction, Positive


def warmed_up(step: int, num_steps: int, warmup: float) -> float:
    """Rise linearly to 1, reached at the last step of the first ``warmup`` of the training (Goyal et al. 2017)."""
    return min(1.0, (step + 1) / max(1.0, warmup * num_steps))


def constant(step: int, num_steps: int, *, warmup: Fraction) -> float:
    """Return 1, after the warm-up."""
    return warmed_up(step, num_steps, warmup)


def step(step: int, num_steps: int, *, milestones: list[Fraction], gamma: Positive, warmup: Fraction) -> float:
    """Multiply by ``gamma`` at each milestone, a portion of the training (He et al. 2016: at 1/2 and 3/4)."""
    # A quotient rounds to the milestone as it was written; 0.07 · 100 is a little more than 7.
    num_passed = sum(step / num_steps >= milestone for milestone in milestones)
    return warmed_up(step, num_steps, warmup) * gamma**num_passed


def cosine(step: int, num_steps: int, *, warmup: Fraction) -> float:
    """Fall from 1 to 0 along half a cosine, after the warm-up.

    Formula: ½ (1 + cos(π t)), t the portion of the steps after the warm-up that is done
    Source: Loshchilov & Hutter 2017, equation 5, without restarts.
    """
    num_warmup = warmup * num_steps
    portion = max(0.0, (step - num_warmup) / max(1.0, num_steps - num_warmup))
    return warmed_up(step, num_steps, warmup) * 0.5 * (1 + cos(pi * portion))


def one_cycle(step: int, num_steps: int, *, rise: Fraction, start_division: Positive, end_division: Positive) -> float:
    """Rise from 1 / ``start_division`` to 1, then fall to 1 / ``start_division`` / ``end_division``, both by cosines.

    Formula: a + ½ (b − a) (1 − cos(π t)) from a to b, in each of the two phases
    Source: Smith & Topin 2018, in the two phases of ``torch.optim.lr_scheduler.OneCycleLR``.
    """
    start, end = 1 / start_division, 1 / start_division / end_division
    last_rising, last = rise * num_steps - 1, num_steps - 1
    if step <= last_rising:
        return _cosine_between(start, 1.0, step / last_rising if last_rising > 0 else 1.0)
    return _cosine_between(1.0, end, (step - last_rising) / (last - last_rising))


def _cosine_between(start: float, end: float, portion: float) -> float:
    return start + 0.5 * (end - start) * (1 - cos(pi * portion))
