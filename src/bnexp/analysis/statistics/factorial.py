"""What each of two factors does, and whether one's effect depends on the other: y ~ A × B."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product

from bnexp.analysis.statistics.estimate import CONFIDENCE, Estimate
from bnexp.analysis.statistics.sample import Values, sample_mean
from bnexp.analysis.statistics.student import contrast

Cells = Mapping[tuple[str, str], Values]  # (level of A, level of B) → one value a run


@dataclass(frozen=True)
class Effect:
    """One line of the ANOVA table; η² = SS/SS_total, partial η² = SS/(SS + SS_residual)."""

    name: str
    sum_of_squares: float
    df: int
    f: float
    p_value: float
    eta_squared: float
    partial_eta_squared: float


@dataclass(frozen=True)
class Interaction:
    """The 2 × 2 contrast of ``rows`` and ``columns``, picked from ``searched`` such contrasts."""

    rows: tuple[str, str]
    columns: tuple[str, str]
    estimate: Estimate
    searched: int

    @property
    def interval(self) -> tuple[float, float]:
        """The interval that allows for the search: confidence 1 − 0.05/searched (Bonferroni)."""
        return self.estimate.interval(1 - (1 - CONFIDENCE) / self.searched)


def two_way_anova(cells: Cells, names: tuple[str, str] = ("A", "B")) -> list[Effect]:
    """Return the effects of A, of B and of A × B (statsmodels, type II sums of squares; runs per cell may differ).

    Each main effect is measured after the other one, so that unequal numbers of runs favour neither. SS_total is taken
    about the grand mean. Assumes one spread in all cells. Raises ValueError for an empty cell, a factor of one level,
    one run in every cell, or runs that agree exactly in every cell.
    """
    from pandas import DataFrame
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rows, columns = _levels(cells)
    runs = [(rows.index(a), columns.index(b), float(y)) for (a, b), values in cells.items() for y in values]
    if len(runs) == len(cells):
        raise ValueError("one run in every cell: the interaction cannot be told from noise; add a seed")
    if all(sample_mean(values).variance == 0 for values in cells.values() if len(values) > 1):
        raise ValueError("the runs of every cell agree exactly: there is no noise to measure the effects by")
    frame = DataFrame(runs, columns=["a", "b", "y"])
    table = anova_lm(ols("y ~ C(a) * C(b)", frame).fit(), typ=2).to_dict("index")
    residual = table["Residual"]["sum_sq"]
    total = float(((frame["y"] - frame["y"].mean()) ** 2).sum())
    labels = {names[0]: "C(a)", names[1]: "C(b)", f"{names[0]} × {names[1]}": "C(a):C(b)"}
    return [_effect(name, table[label], residual, total) for name, label in labels.items()]


def marginal_mean(cells: Cells, level: str, factor: int, resolution: float = 0.0) -> Estimate:
    """Return the mean of the cells with ``level`` of factor 0 (A) or 1 (B), each cell counting the same.

    ``resolution``, here and below, as in :func:`sample.sample_mean`.
    """
    chosen = [cell for cell in cells if cell[factor] == level]
    return cell_contrast(cells, dict.fromkeys(chosen, 1 / len(chosen)), resolution)


def main_effect(cells: Cells, factor: int, levels: tuple[str, str], resolution: float = 0.0) -> Estimate:
    """Return the marginal mean of the second level of factor 0 (A) or 1 (B) less that of the first."""
    rows, columns = _levels(cells)
    share = 1 / len((columns, rows)[factor])
    signs = {levels[0]: -share, levels[1]: share}
    weights = {cell: signs[cell[factor]] for cell in cells if cell[factor] in signs}
    return cell_contrast(cells, weights, resolution)


def interaction_contrast(
    cells: Cells, rows: tuple[str, str], columns: tuple[str, str], resolution: float = 0.0
) -> Estimate:
    """Return how much more B's change does at the second row than at the first: (ȳ₂₂ − ȳ₂₁) − (ȳ₁₂ − ȳ₁₁)."""
    (r1, r2), (c1, c2) = rows, columns
    return cell_contrast(cells, {(r2, c2): 1.0, (r2, c1): -1.0, (r1, c2): -1.0, (r1, c1): 1.0}, resolution)


def largest_interaction(cells: Cells, resolution: float = 0.0) -> Interaction:
    """Return the 2 × 2 contrast furthest from zero among all pairs of rows and columns."""
    rows, columns = _levels(cells)
    pairs = list(product(combinations(rows, 2), combinations(columns, 2)))
    found = [Interaction(r, c, interaction_contrast(cells, r, c, resolution), len(pairs)) for r, c in pairs]
    return max(found, key=lambda interaction: abs(interaction.estimate.value))


def cell_contrast(cells: Cells, weights: Mapping[tuple[str, str], float], resolution: float = 0.0) -> Estimate:
    """Return Σ w·ȳ over cells with Welch's interval: each cell has its own spread, unlike in the ANOVA."""
    means = [sample_mean(cells[cell], resolution) for cell in weights]
    return contrast(means, [*weights.values()], "Welch contrast")


def _levels(cells: Cells) -> tuple[list[str], list[str]]:
    rows, columns = ([*dict.fromkeys(cell[factor] for cell in cells)] for factor in (0, 1))
    empty = [f"{a} × {b}" for a, b in product(rows, columns) if not len(cells.get((a, b), ()))]
    if empty:
        raise ValueError(f"no mean in {', '.join(empty)}; a factorial needs every combination")
    if min(len(rows), len(columns)) < 2:
        raise ValueError("a factorial needs two or more levels of both factors")
    return rows, columns


def _effect(name: str, line: Mapping[str, float], residual: float, total: float) -> Effect:
    explained = float(line["sum_sq"])
    shares = explained / total, explained / (explained + residual)
    return Effect(name, explained, int(line["df"]), float(line["F"]), float(line["PR(>F)"]), *shares)
