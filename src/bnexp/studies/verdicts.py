"""The answers to a study's claims, judged together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bnexp.analysis.statistics.estimate import CONFIDENCE
from bnexp.analysis.statistics.sample import ROUNDING
from bnexp.analysis.statistics.verdict import Claim, Verdict, judge, seeds_in_words
from bnexp.studies.claims import estimate
from bnexp.studies.evidence import Evidence
from bnexp.studies.study import DeclaredClaim
from bnexp.training.record import finite

HEADER = ("claim", "verdict", "estimate", f"{CONFIDENCE:.0%} interval", "claimed", "n", "seeds needed")


def verdicts(claims: Sequence[DeclaredClaim], evidence: Evidence) -> list[Verdict]:
    """Return a verdict for each claim; all claims of a study share one error rate (Holm)."""
    return judge(
        [
            Claim(claim.text, estimate(claim, evidence), claim.low, claim.high, _caution(claim, evidence))
            for claim in claims
        ]
    )


def _caution(claim: DeclaredClaim, evidence: Evidence) -> str:
    return evidence.target_caution if claim.kind == "time_ratio" else ""


def as_json(claims: Sequence[DeclaredClaim], found: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the verdicts as plain data; an end that is infinite, and a value that is unknown, is null."""
    return [_plain(claim, verdict) for claim, verdict in zip(claims, found, strict=True)]


def row(verdict: Verdict) -> list[str]:
    """Return a verdict as cells of a table with :data:`HEADER`."""
    found = verdict.claim.estimate
    low, high = verdict.interval
    return [
        verdict.claim.name,
        verdict.status + (" (exploratory)" if verdict.claim.caution else ""),
        _number(found.value, verdict.claim),
        found.note or f"{_number(low, verdict.claim)} to {_number(high, verdict.claim)}",
        str(verdict.claim),
        found.runs,
        seeds_in_words(verdict.seeds_needed),
    ]


def _plain(claim: DeclaredClaim, verdict: Verdict) -> dict[str, Any]:
    found = verdict.claim.estimate
    plain: dict[str, Any] = finite(
        {
            "text": claim.text,
            "source": claim.source,
            "kind": claim.kind,
            "arguments": dict(claim.arguments),
            "low": claim.low,
            "high": claim.high,
            "claimed": str(verdict.claim),
            "status": verdict.status,
            "estimate": found.value,
            "interval": verdict.interval,
            "confidence": CONFIDENCE,
            "p_value": verdict.p_value,
            "n": found.n,
            "seeds_needed": verdict.seeds_needed,
            "method": found.method,
            "note": found.note,
            "exploratory": verdict.claim.caution or None,
            "explanation": verdict.explanation,
        }
    )
    return plain


def _number(value: float, claim: Claim) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    return claim.beside(value) if abs(value) > ROUNDING else "0"
