"""What the runs say to a declared claim: supported, contradicted or undecided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bnexp.analysis.statistics.estimate import CONFIDENCE, Estimate
from bnexp.analysis.statistics.multiplicity import holm
from bnexp.analysis.statistics.sample import ROUNDING
from bnexp.analysis.statistics.seeds_needed import ALPHA, seeds_to_decide

EXPLORATORY_BELOW = 10  # seeds an arm
HOPELESS_ABOVE = 1000

Status = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True)
class Claim:
    """A claim declared before the runs: the true value of ``estimate`` lies between ``low`` and ``high``.

    "at least t" is low=t, "at most t" is high=t, "equal within m" is low=−m, high=m (for a ratio, 1/m and m).
    ``caution`` says why it was not declared quite before the runs, where it was not; empty where it was.
    """

    name: str
    estimate: Estimate
    low: float = -math.inf
    high: float = math.inf
    caution: str = ""

    def __post_init__(self) -> None:
        if not self.low <= self.high or (math.isinf(self.low) and math.isinf(self.high)):
            raise ValueError(f"claim {self.name}: low={self.low:g} and high={self.high:g} must bound a range")

    def __str__(self) -> str:
        low, high = (f"{bound:.12g}" for bound in (self.low, self.high))
        if math.isinf(self.high):
            return f"at least {low}"
        return f"at most {high}" if math.isinf(self.low) else f"between {low} and {high}"

    def beside(self, value: float) -> str:
        """Write a value with three significant digits, or so many more that it lies on its own side of the bounds."""
        near = [bound for bound in (self.low, self.high) if not math.isclose(value, bound, rel_tol=ROUNDING)]
        texts = (f"{value:.{digits}g}" for digits in range(3, 17))
        return next((text for text in texts if all(_side(value, b) == _side(float(text), b) for b in near)), str(value))


@dataclass(frozen=True)
class Verdict:
    """The answer to one claim: ``interval`` is the plain 95 % one, ``p_value`` is adjusted for the other claims.

    ``seeds_needed`` (per arm) is None where the verdict stands, or where no number can be given. ``finding`` is the
    reason in words, ``explanation`` that reason with all the numbers.
    """

    claim: Claim
    status: Status
    interval: tuple[float, float]
    p_value: float
    seeds_needed: int | None
    finding: str
    explanation: str


def _side(value: float, bound: float) -> int:
    return (value > bound) - (value < bound)


def seeds_in_words(needed: int | None) -> str:
    """Write how many seeds an arm a verdict would need: about so many, over 1,000, or nothing where it stands."""
    if needed is None:
        return ""
    return f"about {needed}" if needed <= HOPELESS_ABOVE else f"over {HOPELESS_ABOVE:,}"


def judge(claims: Sequence[Claim]) -> list[Verdict]:
    """Return a verdict per claim; the chance that any of them is wrong is at most 5 % if the intervals cover 95 %.

    With C the estimate's confidence distribution, the smallest α whose 1 − α interval lies wholly inside [low, high] is
    p_in = 2 max(C(low), 1 − C(high)); wholly outside, p_out = 2 min(1 − C(low), C(high)). The smaller of the two,
    adjusted by Holm over all claims of the study, must be at most 0.05: then the claim is supported (p_in) or
    contradicted (p_out). For a single claim that is to say: the whole 95 % interval lies on one side.
    """
    sides = [_sides(claim) for claim in claims]
    adjusted = holm([min(1.0, *pair) for pair in sides])
    return [_verdict(claim, pair, p, len(claims)) for claim, pair, p in zip(claims, sides, adjusted, strict=True)]


def _sides(claim: Claim) -> tuple[float, float]:
    below, not_above = claim.estimate.distribution.cdf(claim.low), claim.estimate.distribution.cdf(claim.high)
    return 2 * max(below, 1 - not_above), 2 * min(1 - below, not_above)


def _verdict(claim: Claim, sides: tuple[float, float], p: float, num_claims: int) -> Verdict:
    interval = claim.estimate.interval()
    if p <= ALPHA:
        status: Status = "supported" if sides[0] < sides[1] else "contradicted"
        where = "inside" if status == "supported" else "outside"
        finding = f"the whole interval lies {where} what is claimed"
        return Verdict(claim, status, interval, p, None, finding, _explain(claim, interval, finding, p, num_claims))
    needed = _seeds_needed(claim, num_claims)
    if claim.estimate.note:
        finding = f"no interval ({claim.estimate.note})"
    elif min(sides) <= ALPHA:
        finding = "the interval would decide alone, but not as one of several claims"
    else:
        finding = "the interval reaches over the bound of what is claimed"
    if needed is not None:
        finding += f"; needs {seeds_in_words(needed)} seeds an arm"
    explanation = _explain(claim, interval, finding, p, num_claims)
    return Verdict(claim, "undecided", interval, p, needed, finding, explanation)


def _seeds_needed(claim: Claim, num_claims: int) -> int | None:
    """Return the seeds per arm that would carry the interval clear of the nearer bound; more than there are now."""
    bounds = [bound for bound in (claim.low, claim.high) if math.isfinite(bound)]
    nearest = min(bounds, key=lambda bound: abs(claim.estimate.value - bound))
    needed = seeds_to_decide(claim.estimate, nearest, alpha=ALPHA / num_claims)
    return None if needed is None else max(needed, min(claim.estimate.n) + 1)


def _explain(claim: Claim, interval: tuple[float, float], finding: str, p: float, num_claims: int) -> str:
    value, low, high = map(claim.beside, (claim.estimate.value, *interval))
    number = f"{value}, {'no interval' if claim.estimate.note else f'{CONFIDENCE:.0%} interval {low} to {high}'}"
    test = f"p {'< 0.0001' if p < 1e-4 else f'= {p:.2g}'}" + (f" (Holm, {num_claims} claims)" if num_claims > 1 else "")
    caution = "; exploratory (few seeds)" if min(claim.estimate.n) < EXPLORATORY_BELOW else ""
    caution += f"; exploratory: {claim.caution}" if claim.caution else ""
    return f"claimed: {claim}; found: {number}; {finding}; {test}{caution}"
