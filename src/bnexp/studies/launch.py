"""Running jobs: side by side on this machine, or on any of Hydra's launchers (basic, joblib, submitit, ray)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode

from bnexp.config.compose import config_loader, explaining
from bnexp.errors import ConfigError, did_you_mean
from bnexp.experiment import prepare
from bnexp.run import Reporting, run_together
from bnexp.studies.job import obey, train_job
from bnexp.studies.packs import packs
from bnexp.studies.plan import Job, Plan
from bnexp.training.device import num_cores
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder
from bnexp.workers import failure, train_side_by_side

LOCKSTEP = "lockstep"
"""The launcher of a GPU: how many seeds of an arm go together is found out for each arm."""

Told = Callable[[Job, dict[str, Any]], None]
"""Hears of the result of a job as soon as it is there."""

Launch = Callable[[Sequence[Job]], list[str]]
"""Runs jobs to their ends and returns the status of each; for one that raised, the exception in a line."""


class Launcher(NamedTuple):
    """A way to run jobs: its name, how many run at a time (None where only it knows), and what does it."""

    name: str
    at_a_time: int | None
    launch: Launch


def choose_launcher(plan: Plan, num_jobs: int, user_dirs: Sequence[Path] = ()) -> Launcher:
    """Return the launcher that the user's words name, else the local one.

    Raises:
        ConfigError: where Hydra does not take the words about the launcher.
    """
    if plan.hydra:
        return _hydra_launcher(plan, user_dirs)
    at_a_time = runs_at_a_time(num_jobs, on_cpu=plan.on_cpu)
    name, known = ("local", at_a_time) if plan.on_cpu else (LOCKSTEP, None)
    return Launcher(name, known, lambda jobs: launch_here(jobs, at_a_time))


def runs_at_a_time(num_jobs: int, *, on_cpu: bool) -> int:
    """Return how many processes of this machine train side by side: one per core, or one for a GPU."""
    return max(1, min(num_cores(), num_jobs)) if on_cpu else 1


def launch_here(
    jobs: Sequence[Job],
    at_a_time: int,
    told: Told = lambda job, result: None,
    reporting: Reporting = Silence,
) -> list[str]:
    """Run jobs on this machine.

    Where there is one process, it is this one, and ``reporting`` makes a reporter for its runs. On a GPU it trains
    several seeds of a configuration in lockstep, as many as use it best.
    """
    outcomes = [""] * len(jobs)

    def note(number: int, result: dict[str, Any]) -> None:
        outcomes[number] = str(result["status"])
        if "error" in result:
            outcomes[number] = f"failed: {result['error']}"
            with suppress(OSError):  # the disk may be what failed
                job = jobs[number]
                RunFolder(job.path).write_death(job.fingerprint, job.composed.config["seed"], result["error"])
        told(jobs[number], result)

    if at_a_time > 1:
        train_side_by_side([(job.composed.config, job.composed.choices) for job in jobs], at_a_time, note)
    else:
        numbers = {job.path: number for number, job in enumerate(jobs)}
        for pack in packs(jobs):
            launch_together(pack, lambda job, result: note(numbers[job.path], result), reporting)
    return outcomes


def launch_together(jobs: Sequence[Job], told: Told, reporting: Reporting = Silence) -> None:
    """Run jobs that are equal but for their seeds in lockstep, in this process; several of them in silence.

    Where one of them cannot even start, each is run alone, and that one has failed.
    """
    try:
        experiments = [prepare(*job.composed) for job in jobs]
        results = run_together(experiments, reporting if len(jobs) == 1 else Silence)
    except Exception as error:
        if len(jobs) > 1:
            for job in jobs:
                launch_together([job], told)
            return
        results = [failure(error)]
    for job, result in zip(jobs, results, strict=True):
        told(job, result)


def _hydra_launcher(plan: Plan, user_dirs: Sequence[Path]) -> Launcher:
    """Return one of Hydra's launchers, used as Hydra's own sweepers do."""
    place = str(plan.folder).replace("\\", "\\\\").replace("'", "\\'")
    # The launchers make this folder and may keep logs there; without the word each job would make one of its own.
    words = [*plan.hydra, f"hydra.sweep.dir='{place}'"]
    with explaining(words, user_dirs):
        loader = config_loader(user_dirs)
        _check_launcher(words, loader.get_group_options("hydra/launcher"))
        config = loader.load_configuration("train", words, RunMode.MULTIRUN, from_shell=False)
        launcher = Plugins.instance().instantiate_launcher(
            HydraContext(config_loader=loader, callbacks=Callbacks(config)), train_job, config
        )

    name = str(config.hydra.runtime.choices["hydra/launcher"])
    if name == "joblib":  # before its first job: a worker may have lost its parent by then
        launcher.joblib |= {"initializer": obey, "initargs": (os.getpid(),)}  # type: ignore[attr-defined]

    def launch(jobs: Sequence[Job]) -> list[str]:
        return [_outcome(item) for item in launcher.launch([list(job.words) for job in jobs], initial_job_idx=0)]

    numbers = {"basic": 1, "joblib": config.hydra.launcher.get("n_jobs")}
    return Launcher(name, numbers.get(name), launch)


def _check_launcher(words: Sequence[str], known: Sequence[str]) -> None:
    for word in words:
        key, _, name = word.partition("=")
        if key == "hydra/launcher" and name not in known:
            hint = did_you_mean(name, known) or "; install the launcher's package"
            raise ConfigError(f"{word}: there is no such launcher{hint} (there are: {', '.join(known)})")


def _outcome(job: JobReturn) -> str:
    if job.status is JobStatus.COMPLETED:
        return str(job.return_value)
    error = job._return_value  # the property would raise it
    return f"failed: {type(error).__name__}: {error}".splitlines()[0]
