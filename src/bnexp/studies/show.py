"""The tables of a study on a terminal: the plan of a dry run, the arms and the verdicts at the end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

import numpy as np

from bnexp.analysis.arms import Arm
from bnexp.analysis.columns import Column, console, print_columns
from bnexp.analysis.few_examples import few_examples, measured
from bnexp.analysis.statistics.survival import kaplan_meier
from bnexp.analysis.statistics.target import Durations
from bnexp.analysis.statistics.verdict import Verdict
from bnexp.analysis.surroundings import differences
from bnexp.analysis.table import number
from bnexp.console import Console
from bnexp.studies import verdicts
from bnexp.studies.conduct import status
from bnexp.studies.evidence import Evidence
from bnexp.studies.plan import Plan
from bnexp.studies.probe import Cost
from bnexp.studies.watch import in_words
from bnexp.text import printable

METRIC = "test/accuracy"


def print_plan(plan: Plan, cost: Cost | None) -> None:
    """Print what a study would run, where, what of it is done, and what the rest would cost."""
    terminal = console(wraps=False)
    study = plan.study
    terminal.print(f"{study.name}: {study.question}", f"source: {', '.join(study.source) or '–'}", sep="\n")
    base = set.intersection(*({*item.words} for item in plan.arms))
    print_columns(terminal, _plan_columns(plan, base), "a pipe")
    terminal.print(f"all arms: {' '.join(sorted(base)) or '–'}")
    _print_about_target(terminal, plan)
    terminal.print(f"study folder: {plan.folder}")
    for setting in study.settings:
        terminal.print(f"larger:   bnexp study {study.name} setting={setting}")
    if cost is None:
        terminal.print("Nothing is left to run.")
        return
    times = f"{in_words(cost.seconds)} with {cost.num_processes} at a time (if nothing else uses the machine)"
    terminal.print(f"{cost.num_jobs} runs to do: about {times}, {cost.bytes / 1e6:.0f} MB")


def print_outcome(plan: Plan, evidence: Evidence, found: Sequence[Verdict], errors: Mapping[Path, str]) -> None:
    """Print the arms, the verdicts, the runs without an answer, and where everything lies."""
    terminal = console(wraps=False)
    print_columns(terminal, _arm_columns(plan, evidence), "a pipe or the report")
    if found:
        terminal.print(plan.study.question)
        print_columns(terminal, _verdict_columns(found), "a pipe or the report")
    _print_about_target(terminal, plan)
    results = [run.result for runs in evidence.runs.values() for run in runs]
    for line in few_examples(item for result in results for item in measured(result)):
        terminal.print(line)
    for path, line in errors.items():
        terminal.print(f"no answer   {path}  {printable(line)}")
    for line in differences(run.result for arm in evidence.arms.values() for run in arm.runs):
        terminal.print(line)
    if errors:
        terminal.print(f"{len(errors)} runs have no answer; the same command runs them alone.")
    terminal.print(f"study folder: {plan.folder} (its curves: bnexp dashboard {quote(str(plan.folder))})")


def _print_about_target(terminal: Console, plan: Plan) -> None:
    """Say why there is no target, or what limits verdicts that rest on it."""
    if plan.study.no_target:
        terminal.print(f"no target: {plan.study.no_target}")
    if plan.study.target_caution:
        terminal.print(f"exploratory: {plan.study.target_caution}; this is another report than the declared one")


def _plan_columns(plan: Plan, base: set[str]) -> list[Column]:
    rows = []
    for item in plan.arms:
        done = Counter(status(job) for job in item.jobs)
        words = " ".join(word for word in item.words if word not in base)
        # The seeds of an arm share a folder up to the last number.
        folder = f"{item.jobs[0].path}"[: -len("0")] + f"0…{len(item.jobs) - 1}"
        counts = ", ".join(f"{count} {name}" for name, count in done.items() if name != "missing")
        rows.append((item.arm.label, words, folder, str(len(item.jobs)), counts))
    arm, overrides, folders, runs, done_runs = (list(cells) for cells in zip(*rows, strict=True))
    return [
        _folded("arm", arm, least=20),
        _folded("overrides", overrides, 1, least=20),
        _folded("folder", folders, 2, least=30),
        _whole("runs", runs),
        _folded("done", done_runs, least=12),
    ]


def _arm_columns(plan: Plan, evidence: Evidence) -> list[Column]:
    target = evidence.target_value
    reached = "" if target is None or plan.study.target is None else f" {plan.study.target.metric} {target:.4g}"
    rows = []
    for item in plan.arms:
        arm = evidence.arms[item.arm.label]
        if not arm.runs:
            rows.append((arm.label, "0", *[""] * 7))
            continue
        durations = evidence.durations(arm.label, "steps")
        rows.append(
            (
                arm.label,
                str(len(arm.runs)),
                str(arm.num_diverged or ""),
                *_accuracy(evidence, arm),
                _median(durations) if reached else "",
                f"{durations.reached.sum()} of {len(arm.runs)}" if reached else "",
                f"{1000 * evidence.mean(arm.label, 'seconds/step').value:.1f}",
                f"{item.num_parameters:,}",
            )
        )
    arms, *others = (list(cells) for cells in zip(*rows, strict=True))
    reaching = (f"median steps to{reached or ' target'}", "reached")
    names = ("n", "diverged", "mean test accuracy", "95 % interval", *reaching)
    ranks = (0, 1, 0, 1, 2, 2, 3, 4)
    whole = zip((*names, "ms a step", "parameters"), others, ranks, strict=True)
    return [_folded("arm", arms, least=20), *(_whole(*column) for column in whole)]


def _accuracy(evidence: Evidence, arm: Arm) -> tuple[str, str]:
    """Write the mean test accuracy and its interval; of an arm in which a run has no score, how many have none."""
    found = evidence.mean(arm.label, METRIC)
    if not math.isfinite(found.value):
        lacking = sum(run.metrics[METRIC] is None for run in arm.runs)
        return "no mean", f"{lacking} of {len(arm.runs)} without score"
    low, high = (number(end, METRIC) for end in found.interval())
    return number(found.value, METRIC), "" if found.note else f"{low} to {high}"


def _verdict_columns(found: Sequence[Verdict]) -> list[Column]:
    columns = zip(*map(verdicts.row, found), strict=True)
    claim, verdict, estimate, interval, claimed, n, seeds = (list(cells) for cells in columns)
    names = verdicts.HEADER
    return [
        _folded(names[0], claim, least=24),
        _whole(names[1], verdict),
        _whole(names[2], estimate),
        _folded(names[3], interval, 1, least=16),
        _folded(names[4], claimed, 2, least=12),
        _whole(names[5], n, 3),
        _whole(names[6], seeds, 4),
    ]


def _folded(name: str, cells: Sequence[str], rank: int = 0, *, least: int) -> Column:
    """A column of text, which may be folded to ``least`` letters a line."""
    return Column(name, [printable(cell) for cell in cells], rank, is_left=True, least=least)


def _whole(name: str, cells: Sequence[str], rank: int = 0) -> Column:
    """A column of which only the header may be folded, between its words."""
    found = [printable(cell) for cell in cells]
    return Column(name, found, rank, is_left=True, least=max(map(len, [*name.split(), *found])))


def _median(durations: Durations) -> str:
    """The median time to target; that it is longer than the runs were, where fewer than half of them arrived."""
    median = kaplan_meier(durations).median
    if median is not None:
        return f"{median:g}"
    followed = durations.times[np.isfinite(durations.times)]
    return f"> {followed.max():g}" if len(followed) else "never (diverged)"
