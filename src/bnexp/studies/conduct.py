"""Running what is missing of a study, so that stopping and starting again is always safe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from bnexp.studies.launch import Launch
from bnexp.studies.plan import Job, Plan
from bnexp.training.record import FINISHED, RunFolder


def missing_jobs(plan: Plan) -> list[Job]:
    """Return the jobs that have no answer yet; all of them where ``rerun=true``."""
    return [job for job in plan.jobs if plan.rerun or status(job) not in FINISHED]


def status(job: Job) -> str:
    """Return the status of a job's run; ``missing`` where it has not ended."""
    return str((RunFolder(job.path).read_result() or {"status": "missing"})["status"])


def conduct(jobs: Sequence[Job], launch: Launch, say: Callable[[str], None]) -> dict[Path, str]:
    """Run the jobs, each once. A run that another process is at is waited for, and taken over if it is left undone.

    Returns:
        A line about each run that has no answer: it failed, or its launcher did.
    """
    errors: dict[Path, str] = {}
    pending = list(jobs)
    while pending:
        try:
            outcomes = launch(pending)
        except Exception as error:  # a worker was killed, a cluster went away: the folders tell what is done
            line = f"the launcher failed: {type(error).__name__}: {error}".splitlines()[0]
            say(line)
            return _unanswered(jobs, dict.fromkeys([job.path for job in pending], line))
        errors |= {job.path: line for job, line in zip(pending, outcomes, strict=True)}
        pending = [job for job, outcome in zip(pending, outcomes, strict=True) if outcome == "running"]
        if pending:
            say(f"waiting for {len(pending)} runs that another process is training")
        for job in pending:
            with FileLock(RunFolder(job.path).lock):  # the other process lets go of it when it ends, however it ends
                pass
        pending = [job for job in pending if status(job) not in FINISHED]
    return _unanswered(jobs, errors)


def _unanswered(jobs: Sequence[Job], lines: Mapping[Path, str]) -> dict[Path, str]:
    found = {}
    for job in jobs:
        result = RunFolder(job.path).read_result() or {"status": "missing"}
        if result["status"] not in FINISHED:
            found[job.path] = str(result.get("error") or lines.get(job.path) or result["status"])
    return found
