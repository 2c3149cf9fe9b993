"""Studies that have been run, made from numbers alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.sealing import seal_by_hand

from bnexp.config.compose import Composed
from bnexp.report.outcome import Outcome
from bnexp.studies.definition import parse_study
from bnexp.studies.plan import Job, Plan, PlannedArm
from bnexp.studies.record import read_evidence, write_plan, write_results
from bnexp.studies.verdicts import verdicts

ENVIRONMENT = {
    "bnexp": "0.1.0",
    "python": "3.11.7",
    "torch": "2.15.0",
    "numpy": "2.4.6",
    "platform": "Linux",
    "device": "cpu",
    "device_name": "cpu (x86_64)",
    "threads": 1,
    "git_commit": "be5ce4d",
}


NUM_EXAMPLES = {"train": 1000, "val": 100, "test": 250}


@dataclass(frozen=True)
class FakeRun:
    """What a run recorded: an evaluation every ``steps`` steps, and its test accuracy."""

    val: Sequence[float | None]
    test: float | None
    train: Sequence[float | None] | None = None
    losses: Sequence[float | None] | None = None
    status: str = "done"
    step_seconds: float = 0.01
    steps: int = 10
    notes: Sequence[str] = field(default_factory=tuple)


MakeOutcome = Callable[..., Outcome]


@pytest.fixture
def make_outcome(tmp_path: Path) -> MakeOutcome:
    """Makes a study in a folder of its own: see :func:`outcome_of`."""
    return partial(outcome_of, tmp_path / "outputs")


def outcome_of(output_dir: Path, node: Mapping[str, Any], runs: Mapping[str, Sequence[FakeRun | None]]) -> Outcome:
    """Make a study of these runs by arm (None: not run yet), with the files that ``bnexp study`` leaves."""
    study = parse_study("trial", "", {"question": "Does it?", **node})
    arms, empty = [], Composed({}, {})
    for index, arm in enumerate(study.arms):
        words = ("dataset=digits", *arm.overrides)
        paths = [output_dir / f"arm{index}" / f"{index:010d}-s{seed}" for seed in range(study.seeds)]
        for seed, (path, run) in enumerate(zip(paths, runs.get(arm.label, ()), strict=False)):
            if run is not None:
                write_run(path, seed, run)
        jobs = tuple(Job((*words, f"seed={seed}"), empty, path, f"{index:010d}", 30) for seed, path in enumerate(paths))
        arms.append(PlannedArm(arm, words, empty, jobs, 1000 + 10 * index, NUM_EXAMPLES, chance=0.1))
    folder = output_dir / "studies" / "trial"
    plan = Plan(study, "", (), (), tuple(arms), output_dir, folder, rerun=False, on_cpu=True)
    write_plan(plan)
    evidence, damaged = read_evidence(plan)
    found = verdicts(study.claims, evidence)
    write_results(plan, evidence, found)
    return Outcome(plan, evidence, found, damaged)


def runs(*tests: float, status: str = "done") -> list[FakeRun]:
    """Runs by their test accuracies."""
    return [FakeRun(val=[test / 2, test, test], test=test, status=status) for test in tests]


def write_run(folder: Path, seed: int, run: FakeRun) -> None:
    folder.mkdir(parents=True)
    train = run.train or [None if value is None else value + 0.01 for value in run.val]
    losses = run.losses or [None if value is None else 1.0 - value for value in run.val]
    rows = [
        {
            "step": run.steps * epoch,
            "epoch": float(epoch),
            "seconds": run.steps * epoch * run.step_seconds,
            "train/loss": loss,
            "train/accuracy": train[epoch - 1],
            "val/loss": loss,
            "val/accuracy": run.val[epoch - 1],
            "lr": 0.1,
        }
        for epoch, loss in enumerate(losses, 1)
    ]
    result = {
        "status": run.status,
        "fingerprint": folder.name.partition("-")[0],
        "seed": seed,
        "metrics": {
            "test/accuracy": run.test,
            "test/loss": losses[-1],
            "val/accuracy": run.val[-1],
            "val/loss": losses[-1],
            "best/epoch": 1.0,
            "best/val/accuracy": max((value for value in run.val if value is not None), default=None),
            "best/test/accuracy": run.test,
            "initial/loss": 2.3,
        },
        "examples": NUM_EXAMPLES,
        "environment": ENVIRONMENT,
        "notes": [*run.notes],
        "steps": run.steps * len(rows),
        "epochs": float(len(rows)),
        "seconds": {"train": run.steps * len(rows) * run.step_seconds, "total": 1.0},
    }
    if run.status in ("failed", "interrupted"):
        result |= {"metrics": {}, "error": "OSError: no <b>disk</b>"}
    if run.status == "diverged":
        result["diverged_step"] = 7
    config = {"seed": seed, "output_dir": "outputs", "choices": {"norm": "none"}, "norm": {"_target_": "x"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "result.json").write_text(json.dumps(result))
    if run.status in ("done", "diverged"):
        seal_by_hand(folder, result["fingerprint"], seed)
