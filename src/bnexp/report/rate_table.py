"""Accuracy over the learning rate: all arms at common rates, each at its own best, and how high a rate each stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnexp.analysis.arms import coarsest
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.learning_rate import (
    Choice,
    Trial,
    best_rate_table,
    best_rates,
    chance_ceiling,
    common_rate_table,
    largest_stable_rates,
    reversals,
    unfair_grids,
)
from bnexp.report.document import Block, Column, Items, Table
from bnexp.report.numbers import NONE, accuracy, between, interval, points
from bnexp.report.outcome import Outcome
from bnexp.studies.evidence import measure

FACTOR = "optimizer.lr"
ALL = "all arms"


@dataclass(frozen=True)
class Sweep:
    """All runs of a grid of learning rates; arms that differ in nothing else are one family.

    Attributes:
        trials: a run each; ``arm`` is its family.
        ceiling: the validation accuracy up to which a run may be guessing.
        resolution: the smallest step in which a test accuracy can differ.
    """

    trials: tuple[Trial, ...]
    ceiling: float
    resolution: float

    @property
    def families(self) -> list[str]:
        """The families, in order."""
        return [*dict.fromkeys(trial.arm for trial in self.trials)]

    @property
    def rates(self) -> list[float]:
        """The learning rates, rising."""
        return sorted({trial.lr for trial in self.trials})


def sweep(outcome: Outcome) -> Sweep | None:
    """Return the runs over the factor ``optimizer.lr``; None where the study has no such factor of numbers."""
    levels = outcome.plan.study.factors.get(FACTOR, ())
    if not levels or not all(map(_is_rate, levels)):
        return None
    trials = tuple(
        Trial(_family(arm.settings), float(arm.settings[FACTOR]), run.seed, val, test, run.status == "diverged")
        for arm in outcome.evidence.select({})
        for run in arm.runs
        if (val := measure(run)["val/accuracy"]) is not None and (test := measure(run)["test/accuracy"]) is not None
    )
    ceiling = max(
        chance_ceiling(item.chance, item.num_examples["val"]) for item in outcome.plan.arms if item.arm.levels
    )
    resolution = coarsest(outcome.evidence.select({}), "test/accuracy")
    return Sweep(trials, ceiling, resolution) if trials else None


def rate_blocks(found: Sweep) -> tuple[Block, ...]:
    """Return the tables at common rates and at the best ones, with the rules they follow."""
    chosen = [trial for trial in found.trials if trial.seed % 2 == 0]
    fresh = [trial for trial in found.trials if trial.seed % 2]
    best = best_rates(chosen)
    reading = (
        "The best rate has the highest mean validation accuracy over the even seeds, and its test accuracy is that "
        "of the odd seeds: the winner of a search is lucky too. The largest stable rate is the largest at which no "
        f"seed diverged or stayed at a validation accuracy of {accuracy(found.ceiling)} or less, which guessing may "
        "reach. At the edge of the grid the true one may lie beyond."
    )
    notes = [*_reversals(found, fresh, best), *(f"Not the same trials: {line}." for line in unfair_grids(found.trials))]
    return (
        "At common learning rates, mean test accuracy:",
        _common(found),
        "Each at its own best learning rate:",
        _best(found, fresh, best),
        reading,
        *([Items(tuple(notes))] if notes else []),
    )


def _common(found: Sweep) -> Table:
    """Return a row for each rate and family: of many families a column each would be too wide to read."""
    columns = ("test accuracy", "95 % interval", "diverged")
    rows = tuple(
        (f"{rate:g}", family, *_cells(estimates.get(family), _diverged(found.trials, family, rate)))
        for rate, estimates in common_rate_table(found.trials, found.resolution).items()
        for family in found.families
    )
    return Table((Column("learning rate"), Column("arms", "text"), *map(Column, columns)), rows)


def _cells(found: Estimate | None, diverged: str) -> tuple[str, str, str]:
    return (NONE, "no run", "") if found is None else (accuracy(found.value), interval(found, accuracy), diverged)


def _diverged(trials: Sequence[Trial], family: str, rate: float) -> str:
    at = [trial.diverged for trial in trials if trial.arm == family and trial.lr == rate]
    return f"{sum(at)} of {len(at)}"


def _best(found: Sweep, fresh: Sequence[Trial], best: dict[str, Choice]) -> Table:
    columns = ("best rate", "n", "test accuracy", "95 % interval", "largest stable rate")
    stable = largest_stable_rates(found.trials, found.ceiling)
    tests = best_rate_table(fresh, best, found.resolution)
    rows = []
    for family in found.families:
        if family not in best:
            rows.append((family, NONE, "0", NONE, "no run", _stable(stable[family])))
            continue
        test = tests[family]
        rows.append(
            (
                family,
                _rate(best[family]),
                str(test.n[0]),
                accuracy(test.value),
                interval(test, accuracy),
                _stable(stable[family]),
            )
        )
    return Table((Column("arms", "text"), *map(Column, columns)), tuple(rows))


def _rate(choice: Choice) -> str:
    return f"{choice.lr:g}" + (" (edge of the grid)" if choice.edge else "")


def _stable(choice: Choice | None) -> str:
    """The largest stable rate: below it the grid may end, and nothing of that limit lies there."""
    if choice is None:
        return "none"
    return f"{choice.lr:g}" if choice.edge == "lowest" else _rate(choice)


def _reversals(sweep: Sweep, fresh: Sequence[Trial], best: dict[str, Choice]) -> list[str]:
    lines = []
    for found in reversals(fresh, best, sweep.resolution):
        common, own = ((estimate.value, *estimate.interval()) for estimate in (found.common, found.best))
        told = [f"{points(value)} ({between(points(low), points(high))})" for value, low, high in (common, own)]
        lines.append(
            f"The story turns round: {found.first} less {found.second} is {told[0]} at the common rate {found.lr:g}, "
            f"and {told[1]} with each at its own best."
        )
    return lines


def _family(levels: Mapping[str, str]) -> str:
    return " ".join(f"{factor}={level}" for factor, level in levels.items() if factor != FACTOR) or ALL


def _is_rate(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
