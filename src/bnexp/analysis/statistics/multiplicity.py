"""What p-values are worth when several questions were asked of the same runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values: the chance of even one false finding among the declared claims stays at α.

    In rising order p̃_i = max over j ≤ i of min(1, (K − j + 1) p_j) (Holm 1979, Scand. J. Stat. 6).
    """
    # statsmodels' multipletests does these five lines too, and collects garbage at each call, which takes 50 ms.
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return Benjamini–Hochberg's adjusted p-values, for exploring: of the findings below α about a share α is false.

    In rising order p̃_i = min over j ≥ i of min(1, K p_j/j) (Benjamini & Hochberg 1995, JRSS B 57).
    """
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(p_values)]
