"""What was run: commands, seeds, versions, machine, and the runs that diverged or have no answer."""

from __future__ import annotations

from collections import Counter

from bnexp.analysis.runs import Run
from bnexp.analysis.surroundings import differences
from bnexp.config.targets import show
from bnexp.report.commands import study_command, train_commands
from bnexp.report.cost_table import measured_with
from bnexp.report.document import Block, Column, Commands, Items, Section, Table
from bnexp.report.outcome import Outcome
from bnexp.studies.conduct import result, status

ENVIRONMENT = {
    "bnexp": "bnexp",
    "python": "Python",
    "torch": "PyTorch",
    "numpy": "NumPy",
    "platform": "system",
    "device": "device",
    "device_name": "machine",
    "threads": "threads per run",
    "compile": "compiled kernels",
    "code": "code of bnexp (SHA-256)",
    "git_commit": "commit of bnexp",
}


def provenance_section(outcome: Outcome) -> Section:
    """Return everything that is needed to run the study again, and to know what did not go as planned."""
    plan = outcome.plan
    seeds = plan.study.seeds
    counted = "seed 0" if seeds == 1 else f"seeds 0 to {seeds - 1}"
    blocks: list[Block] = [
        f"{len(plan.jobs)} runs: {len(plan.arms) - len(outcome.twins)} arms, {counted} each. {measured_with(outcome)} "
        "The numbers are in results.csv (a row for each arm and seed), curves.csv (a row for each evaluation) and "
        "verdicts.json, beside this file.",
        Commands((("the whole study; runs that are finished are not repeated", study_command(outcome)),)),
        "Each run alone; here seed 0" + (", the other seeds likewise:" if seeds > 1 else ":"),
        Commands(tuple(train_commands(outcome))),
    ]
    runs = [*{run.path: run for arm in outcome.arms for run in arm.runs}.values()]
    if runs:
        blocks += [_surroundings(runs), *differences(run.result for run in runs)]
    return Section("runs", "What was run", (*blocks, *_diverged(outcome), *_unanswered(outcome), *_notes(runs)))


def _surroundings(runs: list[Run]) -> Table:
    """Return the versions and the machine; with the number of runs where they differ."""
    rows = []
    for key, name in ENVIRONMENT.items():
        values = Counter(show(run.result.get("environment", {}).get(key)) for run in runs)
        known = [(value, count) for value, count in values.items() if value != "null"]
        told = [value if len(values) == 1 else f"{value} ({count} runs)" for value, count in known]
        rows.append((name, ", ".join(told) or "not recorded"))
    return Table((Column("", "text"), Column("", "text")), tuple(rows))


def _diverged(outcome: Outcome) -> list[Block]:
    rows = [
        (arm.label, str(run.seed), show(run.result.get("diverged_step")))
        for arm in outcome.different_arms
        for run in arm.runs
        if run.status == "diverged"
    ]
    if not rows:
        return ["No run diverged."]
    columns = (Column("arm", "text"), Column("seed"), Column("step"))
    return ["Runs that diverged:", Table(columns, tuple(rows))]


def _unanswered(outcome: Outcome) -> list[Block]:
    finished = {run.path for arm in outcome.arms for run in arm.runs}
    rows = []
    for item in outcome.plan.arms:
        for seed, job in enumerate(item.jobs):
            if item.arm.label in outcome.twins or job.path in finished:
                continue
            reason = outcome.errors.get(job.path) or str(result(job).get("error") or "")
            rows.append((item.arm.label, str(seed), status(job), reason))
    if not rows:
        return ["Every run has an answer: none failed, none was interrupted, none is missing."]
    columns = (Column("arm", "text"), Column("seed"), Column("status", "text"), Column("error", "text"))
    return ["Runs without an answer; the command of the study runs them alone:", Table(columns, tuple(rows))]


def _notes(runs: list[Run]) -> list[Block]:
    """Return what loaders and initializers did that was not asked for in so many words."""
    notes = dict.fromkeys(str(note) for run in runs for note in run.result.get("notes", []))
    return ["Notes of the runs:", Items(tuple(notes))] if notes else []
