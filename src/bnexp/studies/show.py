"""The tables of a study on a terminal: the plan of a dry run, the arms and the verdicts at the end."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bnexp.analysis.arms import printable
from bnexp.analysis.statistics.student import mean
from bnexp.analysis.statistics.survival import kaplan_meier
from bnexp.analysis.statistics.target import Durations
from bnexp.analysis.statistics.verdict import Verdict
from bnexp.analysis.table import number
from bnexp.studies import verdicts
from bnexp.studies.conduct import status
from bnexp.studies.evidence import Evidence
from bnexp.studies.plan import Plan
from bnexp.studies.probe import Cost
from bnexp.studies.watch import in_words


def print_plan(plan: Plan, cost: Cost | None) -> None:
    """Print what a study would run, where, what of it is done, and what the rest would cost."""
    console = _console()
    study = plan.study
    console.print(f"{study.name}: {study.question}\nsource: {', '.join(study.source) or '–'}", markup=False)
    table = Table("arm", "overrides", "folder", "runs", "done")
    base = set.intersection(*({*item.words} for item in plan.arms))
    for item in plan.arms:
        done = Counter(status(job) for job in item.jobs)
        words = " ".join(word for word in item.words if word not in base)
        # The seeds of an arm share a folder up to the last number.
        folder = f"{item.jobs[0].path}"[: -len("0")] + f"0…{len(item.jobs) - 1}"
        counts = ", ".join(f"{count} {name}" for name, count in done.items() if name != "missing")
        table.add_row(*map(_text, (item.arm.label, words, folder)), str(len(item.jobs)), counts)
    console.print(table)
    console.print(f"all arms: {' '.join(sorted(base)) or '–'}", markup=False)
    console.print(f"study folder: {plan.folder}", markup=False)
    for setting in study.settings:
        console.print(f"larger:   bnexp study {study.name} setting={setting}", markup=False)
    if cost is None:
        console.print("Nothing is left to run.")
        return
    times = f"{in_words(cost.seconds)} with {cost.num_processes} at a time (if nothing else uses the machine)"
    console.print(f"{cost.num_jobs} runs to do: about {times}, {cost.bytes / 1e6:.0f} MB", markup=False)


def print_outcome(plan: Plan, evidence: Evidence, found: Sequence[Verdict], errors: Mapping[Path, str]) -> None:
    """Print the arms, the verdicts, the runs without an answer, and where everything lies."""
    console = _console()
    console.print(_arms(plan, evidence))
    if found:
        table = Table(*verdicts.HEADER, title=_text(plan.study.question))
        for verdict in found:
            table.add_row(*map(_text, verdicts.row(verdict)))
        console.print(table)
    for path, line in errors.items():
        console.print(f"no answer   {path}  {printable(line)}", markup=False)
    if errors:
        console.print(f"{len(errors)} runs have no answer; the same command runs them alone.")
    console.print(f"study folder: {plan.folder} (its curves: bnexp dashboard {plan.folder})", markup=False)


def _arms(plan: Plan, evidence: Evidence) -> Table:
    target = evidence.target_value
    reached = "" if target is None or plan.study.target is None else f" {plan.study.target.metric} {target:.4g}"
    table = Table("arm", "n", "diverged", "test accuracy, mean ± 95 % CI", f"median steps to{reached or ' target'}")
    table.add_column("reached")
    table.add_column("ms a step")
    table.add_column("parameters")
    for item in plan.arms:
        arm = evidence.arms[item.arm.label]
        if not arm.runs:
            table.add_row(_text(arm.label), "0", *[""] * 6)
            continue
        accuracy = mean(evidence.values(arm.label, "test/accuracy"), evidence.resolution(arm.label, "test/accuracy"))
        low, high = accuracy.interval()
        half = f" ± {number((high - low) / 2, 'accuracy')}" if math.isfinite(high - low) else ""
        durations = evidence.durations(arm.label, "steps")
        table.add_row(
            _text(arm.label),
            str(len(arm.runs)),
            str(arm.num_diverged or ""),
            number(accuracy.value, "accuracy") + half,
            _median(durations) if reached else "",
            f"{durations.reached.sum()} of {len(arm.runs)}" if reached else "",
            f"{1000 * mean(evidence.values(arm.label, 'seconds/step')).value:.1f}",
            f"{item.num_parameters:,}",
        )
    return table


def _median(durations: Durations) -> str:
    """The median time to target; that it is longer than the runs were, where fewer than half of them arrived."""
    median = kaplan_meier(durations).median
    if median is not None:
        return f"{median:g}"
    followed = durations.times[np.isfinite(durations.times)]
    return f"> {followed.max():g}" if len(followed) else "never (diverged)"


def _text(text: str) -> str:
    """Neither rich's markup nor control characters of a label reach the terminal."""
    return printable(text).replace("[", r"\[")


def _console() -> Console:
    """A file or pipe has no width: a table there must not be cut to that of some terminal."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
