"""Accuracy over the learning rate: all arms at common rates, each at its own best, and how high a rate each stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnexp.analysis.arms import coarsest
from bnexp.analysis.runs import Run
from bnexp.analysis.statistics.estimate import Estimate
from bnexp.analysis.statistics.guessing import Answers, may_guess
from bnexp.analysis.statistics.learning_rate import (
    Choice,
    Trial,
    best_rate_table,
    best_rates,
    common_rate_table,
    largest_stable_rates,
    reversals,
    unfair_grids,
)
from bnexp.report.document import Block, Column, Items, Table
from bnexp.report.numbers import NONE, accuracy, between, interval, points
from bnexp.report.outcome import Outcome
from bnexp.studies.plan import PlannedArm

FACTOR = "optimizer.lr"
ALL = "all arms"


@dataclass(frozen=True)
class Sweep:
    """All runs of a grid of learning rates; arms that differ in nothing else are one family.

    Attributes:
        trials: a run each; ``arm`` is its family.
        resolution: the smallest step in which a test accuracy can differ.
    """

    trials: tuple[Trial, ...]
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
        _trial(item, run)
        for item in outcome.plan.arms
        if item.arm.levels
        for run in outcome.evidence.runs[item.arm.label]
    )
    return Sweep(trials, coarsest(outcome.evidence.select({}), "test/accuracy")) if trials else None


def _trial(item: PlannedArm, run: Run) -> Trial:
    val, test = (
        Answers(math.nan if (value := run.metrics[f"{split}/accuracy"]) is None else value, item.num_examples[split])
        for split in ("val", "test")
    )
    return Trial(
        arm=_family(item.arm.levels),
        lr=float(item.arm.levels[FACTOR]),
        seed=run.seed,
        validation=val.accuracy,
        test=test.accuracy,
        diverged=run.status == "diverged",
        guesses=may_guess(item.chance, (val, test)),
    )


def rate_blocks(found: Sweep) -> tuple[Block, ...]:
    """Return the tables at common rates and at the best ones, with the rules they follow."""
    chosen = [trial for trial in found.trials if trial.seed % 2 == 0]
    fresh = [trial for trial in found.trials if trial.seed % 2]
    best = best_rates(chosen)
    reading = (
        "The best rate has the highest mean validation accuracy over the even seeds, and its test accuracy is that "
        "of the odd seeds: the winner of a search is lucky too; a rate at which a run has no score is never best. The "
        "largest stable rate is the largest at which no seed diverged or stayed where guessing may be: neither on the "
        "validation nor on the test split more right answers than guessing the most frequent class gets, but for once "
        "in 740 times (binomial). At the edge of the grid the true one may lie beyond."
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
    stable = largest_stable_rates(found.trials)
    tests = best_rate_table(fresh, best, found.resolution)
    rows = []
    for family in found.families:
        if family not in best:
            chosen = [trial for trial in found.trials if trial.arm == family and trial.seed % 2 == 0]
            why = "no rate with a score" if chosen else "no run"
            rows.append((family, NONE, "0", NONE, why, _stable(stable[family])))
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
