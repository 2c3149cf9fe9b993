"""What has to be known to read a comparison: methods, divergences, how few runs there are, what else differed."""

from __future__ import annotations

from collections.abc import Sequence

from bnexp.analysis.few_examples import few_examples, of_metric
from bnexp.analysis.statistics.seeds_needed import ALPHA, seeds_to_decide
from bnexp.analysis.statistics.verdict import EXPLORATORY_BELOW, HOPELESS_ABOVE
from bnexp.analysis.surroundings import differences
from bnexp.analysis.table import Comparison, Row, signed


def caveats(comparison: Comparison) -> list[str]:
    """Return the caveats of a comparison, a line each."""
    rows = comparison.rows
    return [
        *_methods(rows),
        *_divergences(comparison),
        *_without_interval(rows),
        *_seeds(rows, comparison.metric),
        *few_examples(of_metric((run.result for row in rows for run in row.arm.runs), comparison.metric)),
        *differences(run.result for row in rows for run in row.arm.runs),
    ]


def _methods(rows: Sequence[Row]) -> list[str]:
    found = [row.difference.points for row in rows if row.difference is not None]
    differences = [estimate for estimate in found if not estimate.note]
    methods = sorted({estimate.method for estimate in differences})
    lines = []
    if any(not row.mean.note for row in rows):
        of_differences = f"; differences: {' or '.join(methods)}" if methods else ""
        lines.append(f"Intervals are over the runs of an arm (means: Student{of_differences}), 95 % each for itself.")
    if len(differences) > 1:
        held = sum(row.p_adjusted is not None and row.p_adjusted <= ALPHA for row in rows)
        lines.append(
            f"Of the {len(differences)} differences together, {held} differ from zero with at most 5 % false "
            "discoveries (Benjamini–Hochberg)."
        )
    return lines


def _divergences(comparison: Comparison) -> list[str]:
    lines = []
    counted = sum(
        run.status == "diverged" and run.metrics.get(comparison.metric) is not None
        for row in comparison.rows
        for run in row.arm.runs
    )
    if counted:
        lines.append(f"{_runs(counted)} that diverged: counted with the {comparison.metric} recorded at the end.")
    missing = {row.arm.label: len(row.arm.runs) - len(row.values) for row in comparison.rows}
    if total := sum(missing.values()):
        arms = ", ".join(f"{label} ({count})" for label, count in missing.items() if count)
        lines.append(
            f"{_runs(total)} without a finite {comparison.metric}, left out of it: {arms}. "
            "What is left of such an arm is its better runs, so it is never marked best."
        )
    return lines


def _without_interval(rows: Sequence[Row]) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.mean.note:
            reasons.setdefault(row.mean.note, []).append(row.arm.label)
    return [f"No interval for {', '.join(labels)}: {reason}." for reason, labels in reasons.items()]


def _seeds(rows: Sequence[Row], metric: str) -> list[str]:
    sizes = [len(row.values) for row in rows]
    if min(sizes) >= EXPLORATORY_BELOW:
        return []
    n = str(min(sizes)) if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    line = f"Exploratory: n = {n} (a claim wants {EXPLORATORY_BELOW} or more)."
    known = [
        (row, row.difference.points) for row in rows if row.difference is not None and not row.difference.points.note
    ]
    if known:
        row, points = max(known, key=lambda pair: abs(pair[1].value))
        needed = seeds_to_decide(points, 0.0)
        if needed is not None:
            many = f"about {max(needed, 2)}" if needed <= HOPELESS_ABOVE else f"over {HOPELESS_ABOVE:,}"
            gap = signed(points.value, metric)
            line += f" To show the largest difference, {gap} ({row.arm.label}), takes {many} runs an arm (power 80 %)."
    return [line]


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
