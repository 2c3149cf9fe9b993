"""Many runs of ``bnexp train -m``: all of them checked before the first one starts, then a run per core."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bnexp.analysis.multirun import note_run
from bnexp.analysis.summary import Planned, print_summary, result_line
from bnexp.cli.contract import print_brief, print_warnings
from bnexp.config.compose import Composed, compose_arm, compose_replicas, explaining, jobs_of_multirun
from bnexp.data.progress import progress
from bnexp.errors import ConfigError
from bnexp.files import make_folder
from bnexp.studies.conduct import result, status
from bnexp.studies.launch import launch_here, launch_together, runs_at_a_time
from bnexp.studies.plan import Job, plan_runs
from bnexp.studies.watch import display, watching
from bnexp.text import say
from bnexp.training.device import choose_device
from bnexp.training.progress import reporter
from bnexp.training.record import FINISHED
from bnexp.training.seal import DAMAGED


def train_all(overrides: Sequence[str], folders: Sequence[Path]) -> int:
    """Train every combination of the overrides' values, and show each arm; return the exit status."""
    jobs = plan_multirun(overrides, folders)
    place = _folder(jobs[0])
    for job in jobs:
        note_run(place, job.path)
    try:
        train_missing([*{job.path: job for job in jobs}.values()])
    finally:
        print_summary([planned(job) for job in jobs], place)
    return _exit_status(jobs)


def plan_multirun(overrides: Sequence[str], folders: Sequence[Path]) -> list[Job]:
    """Compose and check every run; ``folders`` are the user's config folders.

    Raises:
        ConfigError: for the first run that cannot work.
    """
    with explaining(overrides, folders):
        every = [tuple(words) for words in jobs_of_multirun(overrides, folders)]
    arms: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for words in dict.fromkeys(every):
        arms.setdefault(_without_seed(words), []).append(words)
    found: dict[tuple[str, ...], list[Job]] = {}
    warnings: list[str] = []
    with progress(f"composing and checking {len(every)} runs", len(every)) as advance:
        for arm, members in arms.items():
            composed = _composed(arm, members, folders)
            runs = [(words, run) for words, replicas in zip(members, composed, strict=True) for run in replicas]
            jobs, experiment = plan_runs([words for words, _ in runs], [run for _, run in runs])
            warnings += experiment.dataset.contract.warnings
            for job in jobs:
                found.setdefault(job.words, []).append(job)
            advance(len(members))
    print_warnings(warnings)
    return [job for words in every for job in found[words]]


def train_replicas(words: Sequence[str], composed: Sequence[Composed]) -> int:
    """Train some seeds of one configuration in lockstep in this process; return the exit status."""
    jobs, experiment = plan_runs([tuple(words)] * len(composed), composed)
    if missing := _tell_finished(jobs):
        print_brief(experiment.dataset.contract)
        with display() as shown, watching(missing, shown):
            launch_together(missing, _tell)
    print_summary([planned(job) for job in jobs], jobs[0].path.parent)
    return _exit_status(jobs)


def _exit_status(jobs: Sequence[Job]) -> int:
    return 1 if {"failed", "missing", DAMAGED} & {status(job) for job in jobs} else 0


def train_missing(jobs: Sequence[Job]) -> None:
    """Train the jobs that have no answer yet, and say a line about each of them all."""
    missing = _tell_finished(jobs)
    on_cpu = all(choose_device(job.composed.config["training"]["device"]).type == "cpu" for job in missing)
    at_a_time = runs_at_a_time(len(missing), on_cpu=on_cpu)
    if at_a_time == 1:
        launch_here(missing, 1, _tell, reporter)
        return
    with display() as shown, watching(missing, shown):
        launch_here(missing, at_a_time, _tell)


def _tell_finished(jobs: Sequence[Job]) -> list[Job]:
    """Say a line about each job that has its answer; return the others."""
    missing = []
    for job in jobs:
        found = result(job)
        if job.composed.config["rerun"] or found["status"] not in (*FINISHED, DAMAGED):
            missing.append(job)
        else:
            _tell(job, {**found, "repeated": False})
    return missing


def planned(job: Job) -> Planned:
    """Return what the summary of arms has to know about a job."""
    return Planned(arm=_without_seed(job.words), seed=job.composed.config["seed"], path=job.path)


def _composed(
    arm: tuple[str, ...], members: Sequence[tuple[str, ...]], folders: Sequence[Path]
) -> list[list[Composed]]:
    """Compose the replicas of runs that differ in their seed alone, at once if that is a plain number in each."""
    seeds = [word.removeprefix("seed=") for words in members for word in words if word.startswith("seed=")]
    if len(seeds) == len(members) and all(map(str.isdecimal, seeds)):
        replicas = compose_arm(arm, list(map(int, seeds)), folders)
    else:
        replicas = [compose_replicas(words, folders) for words in members]
    _refuse_overlap(replicas)
    return replicas


def _refuse_overlap(replicas: Sequence[Sequence[Composed]]) -> None:
    """Refuse sets of replicas that share a seed: it would be trained once, and fewer runs be there than asked for."""
    owners: dict[int, int] = {}
    for runs in replicas:
        if len(runs) == 1:
            continue
        seeds = [run.config["seed"] for run in runs]
        first = seeds[0]
        for seed in seeds:
            if (other := owners.setdefault(seed, first)) != first:
                raise ConfigError(
                    f"training.replicas={len(runs)}: seed={other} and seed={first} share seed {seed}; "
                    f"use seed={other},{other + len(runs)}"
                )


def _without_seed(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for word in words if not word.startswith("seed="))


def _folder(job: Job) -> Path:
    """Make the folder of this multirun."""
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    output_dir = Path(job.composed.config["output_dir"])
    folder = output_dir / "multirun" / now
    try:
        make_folder(folder, output_dir)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return folder


def _tell(job: Job, result: dict[str, Any]) -> None:
    say(result_line(f"{job.path.parent.name}/{job.path.name}", result))
