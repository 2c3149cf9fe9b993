"""What p-values are worth when several questions were asked of the same runs."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values: the chance of even one false finding among the declared claims stays at α.

    In rising order p̃_i = max over j ≤ i of min(1, (K − j + 1) p_j) (Holm 1979, Scand. J. Stat. 6).
    """
    return _adjusted(p_values, "holm")


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return Benjamini–Hochberg's adjusted p-values, for exploring: of the findings below α about a share α is false.

    In rising order p̃_i = min over j ≥ i of min(1, K p_j/j) (Benjamini & Hochberg 1995, JRSS B 57).
    """
    return _adjusted(p_values, "fdr_bh")


def _adjusted(p_values: Sequence[float], method: str) -> list[float]:
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method=method)[1]]
