"""Stopping, failing and sharing: every run is trained once, and what is left undone is named."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock
from tests.sealing import end_by_hand

from bnexp.config.compose import Composed
from bnexp.studies.conduct import conduct
from bnexp.studies.plan import Job


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    jobs = [
        Job(
            (f"seed={seed}",),
            Composed({"seed": seed}, {}),
            tmp_path / f"0123456789-s{seed}",
            "0123456789",
            num_steps=10,
        )
        for seed in range(3)
    ]
    for job in jobs:
        job.path.mkdir()
    return jobs


def finish(job: Job) -> str:
    end_by_hand(job.path, seed=job.composed.config["seed"])
    return "done"


def fail(job: Job, error: str) -> str:
    (job.path / "result.json").write_text(json.dumps({"status": "failed", "error": error}))
    return "failed"


def test_a_run_that_failed_is_named_with_its_error(jobs: list[Job]) -> None:
    def launch(given: Sequence[Job]) -> list[str]:
        return [finish(given[0]), fail(given[1], "ValueError: no"), "failed: OSError: disk"]

    assert conduct(jobs, launch, print) == {
        jobs[1].path: "ValueError: no",
        jobs[2].path: "failed: OSError: disk",
    }


def test_a_launcher_that_breaks_down_costs_only_what_is_not_done(jobs: list[Job]) -> None:
    def launch(given: Sequence[Job]) -> list[str]:
        finish(given[0])
        raise RuntimeError("a worker was killed\nby the system")

    told: list[str] = []
    errors = conduct(jobs, launch, told.append)
    assert told == ["the launcher failed: RuntimeError: a worker was killed"]
    assert errors == dict.fromkeys([job.path for job in jobs[1:]], told[0])


@pytest.mark.parametrize("finishes", [True, False])
def test_a_run_of_another_process_is_waited_for_and_taken_over_if_it_is_left_undone(
    jobs: list[Job], finishes: bool
) -> None:
    launched: list[list[Job]] = []
    holds, released = threading.Event(), threading.Event()

    def other_process() -> None:
        with FileLock(jobs[0].path / ".lock"):
            holds.set()
            time.sleep(0.2)
            if finishes:
                finish(jobs[0])
            released.set()

    def launch(given: Sequence[Job]) -> list[str]:
        launched.append([*given])
        return ["running" if job is jobs[0] and not released.is_set() else finish(job) for job in given]

    thread = threading.Thread(target=other_process)
    thread.start()
    holds.wait()
    assert conduct(jobs, launch, lambda line: None) == {}
    thread.join()
    assert launched == ([jobs] if finishes else [jobs, jobs[:1]])
