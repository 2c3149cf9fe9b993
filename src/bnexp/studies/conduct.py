"""Running what is missing of a study, so that stopping and starting again is always safe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import Timeout

from bnexp.locking import acquire
from bnexp.studies.launch import Launch
from bnexp.studies.plan import Job, Plan
from bnexp.training.owner import read_owner
from bnexp.training.record import FINISHED, RunFolder
from bnexp.training.seal import DAMAGED, read_result

SECONDS_TO_DIE = 10.0


def missing_jobs(plan: Plan) -> list[Job]:
    """Return the jobs that have no answer yet; all of them where ``rerun=true``, and otherwise no damaged one."""
    return [job for job in plan.jobs if plan.rerun or status(job) not in (*FINISHED, DAMAGED)]


def status(job: Job) -> str:
    """Return the status of a job's run; ``missing`` where it has not ended."""
    return str(result(job)["status"])


def result(job: Job) -> dict[str, Any]:
    """Return the result of a job's run; that of a run that has not ended says ``missing``."""
    return read_result(RunFolder(job.path)) or {"status": "missing", "metrics": {}}


def conduct(jobs: Sequence[Job], launch: Launch, say: Callable[[str], None]) -> dict[Path, str]:
    """Run the jobs, each once. A run that another process is at is waited for, and taken over if it is left undone.

    With some launchers a process that is killed takes the runs of the other workers with it. Those runs go on one by
    one, so that the run that gets its process killed every time (for its memory, say) is found, and fails alone.

    Returns:
        A line about each run that has no answer: it failed, or its launcher did.
    """
    errors: dict[Path, str] = {}
    before = {job.path: _stamp(job) for job in jobs}
    pending = list(jobs)
    while pending:
        try:
            outcomes = launch(pending)
        except Exception as error:  # a worker was killed, a cluster went away: the folders tell what is done
            line = f"the launcher failed: {type(error).__name__}: {error}".splitlines()[0]
            say(line)
            undone = [job for job in pending if _stamp(job) in (None, before[job.path])]
            cut_off = [job for job in undone if _was_cut_off(job)]
            if not cut_off:
                return _unanswered(jobs, dict.fromkeys([job.path for job in undone], line))
            say(f"{len(cut_off)} runs were cut off; each goes on by itself, then the others")
            for job in cut_off:
                errors |= _run_alone(job, launch)
            pending = [job for job in undone if job not in cut_off]
            continue
        errors |= {job.path: line for job, line in zip(pending, outcomes, strict=True)}
        pending = [job for job, outcome in zip(pending, outcomes, strict=True) if outcome == "running"]
        if pending:
            say(f"waiting for {len(pending)} runs that another process is training")
        for job in pending:
            with acquire(RunFolder(job.path).lock):  # the other process lets go of it when it ends, however it ends
                pass
        pending = [job for job in pending if status(job) not in FINISHED]
    return _unanswered(jobs, errors)


def _run_alone(job: Job, launch: Launch) -> dict[Path, str]:
    """Run a job that was cut off, by itself; if it is cut off again, it has failed."""
    try:
        return {job.path: launch([job])[0]}
    except Exception as error:
        line = f"its process was killed: {type(error).__name__}: {error}".splitlines()[0]
        if _was_cut_off(job):
            RunFolder(job.path).write_death(job.fingerprint, job.composed.config["seed"], line)
        return {job.path: line}


def _was_cut_off(job: Job) -> bool:
    """Whether a process has died while it trained the run."""
    folder = RunFolder(job.path)
    if read_owner(folder.owner) is None:
        return False
    try:
        with acquire(folder.lock, timeout=SECONDS_TO_DIE):  # a launcher ends its other workers too, but not at once
            return read_owner(folder.owner) is not None
    except Timeout:
        return False


def _stamp(job: Job) -> int | None:
    try:
        return RunFolder(job.path).result.stat().st_mtime_ns
    except OSError:
        return None


def _unanswered(jobs: Sequence[Job], lines: Mapping[Path, str]) -> dict[Path, str]:
    found = {}
    for job in jobs:
        line = lines.get(job.path, "")
        if status(job) not in FINISHED:
            found[job.path] = str(result(job).get("error") or line or status(job))
        elif line.startswith("failed"):  # trained again beside its finished record, which stays
            found[job.path] = f"{line}; its earlier result counts"
    return found
