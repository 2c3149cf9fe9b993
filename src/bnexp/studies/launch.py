"""Running jobs on any of Hydra's launchers: basic, joblib, submitit, ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode

from bnexp.config.compose import config_loader, explaining
from bnexp.errors import ConfigError, did_you_mean
from bnexp.studies.job import train_job
from bnexp.studies.plan import Job, Plan

Launch = Callable[[Sequence[Job]], list[str]]
"""Runs jobs to their ends and returns the status of each; for one that raised, the exception in a line."""


def launcher_words(plan: Plan, num_jobs: int) -> tuple[str, ...]:
    """Return the user's words about Hydra, with the local default where they name no launcher.

    The default is a run per core in lasting processes (joblib). Runs on a GPU follow one another instead: they would
    share it anyway, and its memory may not hold several.
    """
    if any(word.startswith("hydra/launcher=") for word in plan.hydra):
        return plan.hydra
    at_a_time = min(num_cores(), num_jobs)
    if at_a_time < 2 or not plan.on_cpu or not _has_joblib():
        return plan.hydra
    return ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={at_a_time}", *plan.hydra)


def num_processes(words: Sequence[str]) -> int:
    """Return how many runs the launcher that the words name trains at a time; 1 where only a cluster knows."""
    if "hydra/launcher=joblib" not in words:
        return 1
    numbers = [word.partition("=")[2] for word in words if word.startswith("hydra.launcher.n_jobs=")]
    wanted = int(numbers[-1]) if numbers and numbers[-1].isdecimal() else 0
    return wanted or num_cores()


def make_launch(plan: Plan, words: Sequence[str], user_dirs: Sequence[Path] = ()) -> Launch:
    """Return the function that runs jobs, as Hydra's own sweepers do.

    Raises:
        ConfigError: where Hydra does not take the ``words`` about the launcher.
    """
    place = str(plan.folder).replace("\\", "\\\\").replace("'", "\\'")
    # The launchers make this folder and may keep logs there; without the word each job would make one of its own.
    words = [*words, f"hydra.sweep.dir='{place}'"]
    with explaining(words, user_dirs):
        loader = config_loader(user_dirs)
        _check_launcher(words, loader.get_group_options("hydra/launcher"))
        config = loader.load_configuration("train", words, RunMode.MULTIRUN, from_shell=False)
        launcher = Plugins.instance().instantiate_launcher(
            HydraContext(config_loader=loader, callbacks=Callbacks(config)), train_job, config
        )

    def launch(jobs: Sequence[Job]) -> list[str]:
        return [_outcome(item) for item in launcher.launch([list(job.words) for job in jobs], initial_job_idx=0)]

    return launch


def _check_launcher(words: Sequence[str], known: Sequence[str]) -> None:
    for word in words:
        key, _, name = word.partition("=")
        if key == "hydra/launcher" and name not in known:
            hint = did_you_mean(name, known) or "; install the launcher's package"
            raise ConfigError(f"{word}: there is no such launcher{hint} (there are: {', '.join(known)})")


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    if _has_joblib():
        import joblib

        return int(joblib.cpu_count())  # heeds the limits of a container
    return len(os.sched_getaffinity(0))


def _has_joblib() -> bool:
    try:
        return find_spec("hydra_plugins.hydra_joblib_launcher") is not None
    except ModuleNotFoundError:  # no plugin of Hydra's at all
        return False


def _outcome(job: JobReturn) -> str:
    if job.status is JobStatus.COMPLETED:
        return str(job.return_value)
    error = job._return_value  # the property would raise it
    return f"failed: {type(error).__name__}: {error}".splitlines()[0]
