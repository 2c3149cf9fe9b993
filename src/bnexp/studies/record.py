"""What a study leaves in its folder: ``study.yaml``, ``verdicts.json``, and tables of results, curves and signals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bnexp.analysis.arms import Arm
from bnexp.analysis.runs import NoRunError, read_run
from bnexp.analysis.signals import tidy_signals, without_signals
from bnexp.analysis.statistics.verdict import Verdict
from bnexp.analysis.tidy import as_csv
from bnexp.atomic import write_atomically
from bnexp.errors import ConfigError
from bnexp.files import make_folder
from bnexp.studies.conduct import result, status
from bnexp.studies.evidence import METRICS, SIGNALS, UNITS, Evidence, measure
from bnexp.studies.plan import Job, Plan, PlannedArm
from bnexp.studies.verdicts import as_json
from bnexp.training.record import FINISHED, finite
from bnexp.training.seal import DAMAGED


def read_evidence(plan: Plan) -> tuple[Evidence, dict[Path, str]]:
    """Read the finished runs of a plan.

    Returns:
        What they say, and a line about each folder that holds a damaged run.
    """
    runs, damaged = {}, {}
    for job in plan.jobs:
        if status(job) == DAMAGED:
            damaged[job.path] = str(result(job)["error"])
        elif status(job) in FINISHED:
            try:
                run = read_run(job.path)
                if not run.rows:
                    raise NoRunError(f"{job.path}: no evaluation in metrics.jsonl")
                runs[job.path] = run
            except NoRunError as error:
                damaged[job.path] = f"{error}; remove the folder, and the same command trains the run again"
    arms = [
        Arm(item.arm.label, item.arm.levels, tuple(runs[job.path] for job in item.jobs if job.path in runs))
        for item in plan.arms
    ]
    study = plan.study
    told = {"no_target": study.no_target, "target_caution": study.target_caution}
    return Evidence(arms, study.target, study.baseline, **told), damaged


def write_plan(plan: Plan) -> None:
    """Write ``study.yaml``: what is asked, what will be run, where, and what was declared about the outcome."""
    try:
        make_folder(plan.folder, plan.output_dir)
    except OSError as error:
        raise ConfigError(f"{error.filename or plan.folder} cannot be written: {error.strerror}") from error
    text = yaml.safe_dump(plan_as_data(plan), sort_keys=False, allow_unicode=True, width=120)
    write_atomically(plan.folder / "study.yaml", text.encode())


def write_results(plan: Plan, evidence: Evidence, verdicts: Sequence[Verdict]) -> None:
    """Write the numbers of all runs, their curves, and the verdicts."""
    write_atomically(plan.folder / "results.csv", as_csv(results(plan, evidence)).encode())
    write_atomically(plan.folder / "curves.csv", as_csv(curves(evidence)).encode())
    _write_signals(plan.folder / "signals.csv", evidence)
    target = plan.study.target
    content = {
        "study": plan.study.name,
        "question": plan.study.question,
        "target": None if target is None else {"metric": target.metric, "value": evidence.target_value},
        "no_target": plan.study.no_target or None,
        "exploratory": plan.study.target_caution or None,
        "verdicts": as_json(plan.study.claims, verdicts),
    }
    text = json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n"
    write_atomically(plan.folder / "verdicts.json", text.encode())


def plan_as_data(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data."""
    study = plan.study
    target = None if study.target is None else {"metric": study.target.metric, "value": study.target.value}
    if target is not None and study.target_caution:
        target |= {"caution": study.target_caution}
    return {
        "name": study.name,
        "description": study.description,
        "question": study.question,
        "source": list(study.source),
        "setting": plan.setting or None,
        "overrides": list(plan.overrides),
        "asked": list(plan.asked),
        "seeds": study.seeds,
        "factors": {factor: list(levels) for factor, levels in study.factors.items()},
        "baseline": study.baseline,
        "target": target,
        **({"no_target": study.no_target} if study.no_target else {}),
        "arms": {item.arm.label: _arm_as_data(plan, item) for item in plan.arms},
        "claims": [
            finite({"text": claim.text, "source": claim.source, "kind": claim.kind, **claim.arguments})
            | finite({"low": claim.low, "high": claim.high})
            for claim in study.claims
        ],
    }


def results(plan: Plan, evidence: Evidence) -> list[dict[str, Any]]:
    """Return a row for each arm and seed; a run that two arms share is in both."""
    rows = [_result(plan, item, seed, job, evidence) for item in plan.arms for seed, job in enumerate(item.jobs)]
    unknown = [name for name in SIGNALS if all(row[name] is None for row in rows)]
    return [{key: value for key, value in row.items() if key not in unknown} for row in rows]


def curves(evidence: Evidence) -> list[Mapping[str, Any]]:
    """Return a row for each evaluation of each finished run."""
    return [
        {"arm": label, "seed": run.seed, **without_signals(row)}
        for label, runs in evidence.runs.items()
        for run in runs
        for row in run.rows
    ]


def _write_signals(path: Path, evidence: Evidence) -> None:
    rows = [row for label, runs in evidence.runs.items() for run in runs for row in tidy_signals(label, run)]
    if rows:
        write_atomically(path, as_csv(rows).encode())
    else:
        path.unlink(missing_ok=True)


def _result(plan: Plan, item: PlannedArm, seed: int, job: Job, evidence: Evidence) -> dict[str, Any]:
    run = next((run for run in evidence.runs[item.arm.label] if run.seed == seed), None)
    row: dict[str, Any] = {"arm": item.arm.label, **{name: item.arm.levels.get(name) for name in plan.study.factors}}
    row |= {"seed": seed, "status": status(job) if run is None else run.status}
    row |= dict.fromkeys(METRICS) if run is None else measure(run)
    row |= {f"{unit}_to_target": None if run is None else evidence.crossing(run, unit) for unit in UNITS}
    record = {} if run is None else run.result
    return row | {
        "steps": record.get("steps"),
        "epochs": record.get("epochs"),
        "seconds": record.get("seconds", {}).get("train"),
        "diverged_step": record.get("diverged_step"),
        "parameters": item.num_parameters,
        "folder": _below_output_dir(plan, job),
    }


def _arm_as_data(plan: Plan, item: PlannedArm) -> dict[str, Any]:
    return {
        "levels": dict(item.arm.levels),
        "overrides": list(item.words),
        "parameters": item.num_parameters,
        "examples": dict(item.num_examples),
        "chance": item.chance,
        "runs": [_below_output_dir(plan, job) for job in item.jobs],
    }


def _below_output_dir(plan: Plan, job: Job) -> str:
    """A run's folder seen from ``output_dir``, two levels up from the study's own: the whole may be moved."""
    return job.path.relative_to(plan.output_dir).as_posix()
