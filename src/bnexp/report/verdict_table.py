"""The verdict on each claim, with what it rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bnexp.analysis.statistics.sample import ROUNDING
from bnexp.analysis.statistics.verdict import Verdict, seeds_in_words
from bnexp.config.targets import show
from bnexp.report.document import Block, Column, Section, Table
from bnexp.report.numbers import between, general, interval, minus, p_value
from bnexp.report.outcome import Outcome
from bnexp.studies.study import DeclaredClaim

COLUMNS = (
    Column("#"),
    Column("claim", "long"),
    Column("verdict", "verdict"),
    Column("estimate"),
    Column("95 % interval"),
    Column("claimed"),
    Column("n"),
    Column("adjusted p"),
    Column("seeds needed"),
    Column("method", "text"),
    Column("source", "text"),
)

READING = (
    "A claim is supported when its whole 95 % interval lies inside what is claimed, contradicted when it lies wholly "
    "outside, and undecided otherwise: the runs cannot tell. Undecided is not “no difference”, and a claim with a "
    "threshold may be contradicted by a certain gain that is too small. The p-values are adjusted for all claims of "
    "the study together (Holm), and a claim is decided only at 0.05 or below; the intervals are not. A verdict "
    "holds for the data, network and budget that were run; the seeds vary, the data set does not."
)


def verdict_section(outcome: Outcome) -> Section:
    """Return the table of verdicts; a sentence where nothing was claimed."""
    claims = outcome.plan.study.claims
    if not claims:
        return Section("verdicts", "Verdicts", ("The study declares no claim.",))
    pairs = [*zip(claims, outcome.verdicts, strict=True)]
    table = Table(
        COLUMNS,
        tuple(_row(number, claim, verdict) for number, (claim, verdict) in enumerate(pairs, 1)),
        tuple(f"{_measure(claim)}. Verdict: {verdict.finding}{_caution(verdict)}." for claim, verdict in pairs),
    )
    blocks: tuple[Block, ...] = (table, READING)
    return Section("verdicts", "Verdicts", blocks)


def _row(number: int, claim: DeclaredClaim, verdict: Verdict) -> tuple[str, ...]:
    found = verdict.claim.estimate

    def write(value: float) -> str:
        return minus(verdict.claim.beside(value)) if abs(value) > ROUNDING and math.isfinite(value) else general(value)

    return (
        str(number),
        claim.text,
        verdict.status,
        write(found.value),
        interval(found, write),
        _claimed(claim),
        found.runs,
        p_value(verdict.p_value),
        seeds_in_words(verdict.seeds_needed),
        found.method,
        claim.source,
    )


def _caution(verdict: Verdict) -> str:
    return f"; exploratory: {verdict.claim.caution}" if verdict.claim.caution else ""


def _claimed(claim: DeclaredClaim) -> str:
    low, high = (minus(f"{bound:.12g}") for bound in (claim.low, claim.high))
    if math.isinf(claim.high):
        return f"≥ {low}"
    return f"≤ {high}" if math.isinf(claim.low) else between(low, high)


def _measure(claim: DeclaredClaim) -> str:
    """Say what is estimated: the kind of claim and its keys."""
    keys = ", ".join(f"{key} = {_spelled(value)}" for key, value in claim.arguments.items())
    return f"Estimate: {claim.kind.replace('_', ' ')}, {keys}"


def _spelled(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_spelled(item)}" for key, item in value.items())
    return "/".join(map(show, value)) if isinstance(value, list | tuple) else show(value)
