"""The tally of a study comes from its run folders, whoever fills them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.sealing import end_by_hand

from bnexp.config.compose import Composed
from bnexp.studies.plan import Job
from bnexp.studies.watch import Bar, Lines, Tally, Watch, display, in_words, watching


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    jobs = [
        Job((), Composed({"seed": seed}, {}), tmp_path / f"0123456789-s{seed}", "0123456789", num_steps=100)
        for seed in range(4)
    ]
    for job in jobs:
        job.path.mkdir()
    return jobs


def begin(job: Job, *steps: int) -> None:
    (job.path / "config.yaml").write_text("seed: 0")
    (job.path / "metrics.jsonl").write_text("".join(json.dumps({"step": step}) + "\n" for step in steps))


def end(job: Job, status: str) -> None:
    end_by_hand(job.path, status, seed=job.composed.config["seed"])


def test_runs_are_counted_by_what_they_are_at(jobs: list[Job]) -> None:
    watch = Watch(jobs)
    for job, status in zip(jobs, ["done", "diverged", "failed", None], strict=True):
        begin(job, 10)
        if status:
            end(job, status)
    tally = watch.look()
    assert (tally.total, tally.done, tally.running, tally.failed, tally.diverged) == (4, 2, 1, 1, 1)


def test_what_an_earlier_attempt_left_is_not_counted(jobs: list[Job]) -> None:
    begin(jobs[0], 50)
    end(jobs[0], "failed")
    begin(jobs[1], 50)  # killed
    watch = Watch(jobs)
    assert watch.look() == Tally(4, 0, 0, 0, 0, share=100 / 400, seconds_left=None)
    (jobs[0].path / "result.json").unlink()
    begin(jobs[0], 50)
    assert watch.look().running == 1
    end(jobs[0], "done")
    assert watch.look().done == 1


def test_the_time_left_is_that_of_the_steps_left(jobs: list[Job]) -> None:
    begin(jobs[0], 50)
    watch = Watch(jobs)
    watch.started = time.monotonic() - 10
    begin(jobs[0], 50, 100)
    begin(jobs[1], 50)
    # 100 steps took 10 seconds; of 400, 150 are done.
    assert watch.look().seconds_left == pytest.approx(25, abs=0.5)
    end(jobs[1], "diverged")
    assert watch.look().seconds_left == pytest.approx(10 * 200 / 150, abs=0.5)


def test_a_bar_is_as_full_as_the_share_of_the_steps_that_are_done(jobs: list[Job]) -> None:
    watch, shown = Watch(jobs), Bar()
    begin(jobs[0], 50)
    begin(jobs[1], 30)
    shown.show(watch.look())
    assert shown.progress.tasks[0].percentage == pytest.approx(100 * 80 / 400)
    end(jobs[0], "diverged")  # and its other steps will not be taken
    shown.show(watch.look())
    assert shown.progress.tasks[0].percentage == pytest.approx(100 * 130 / 400)


def test_a_pipe_gets_a_line_now_and_then(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bnexp.studies.watch.SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr("bnexp.studies.watch.SECONDS_BETWEEN_LOOKS", 0.01)
    with display() as shown, watching(jobs, shown):
        assert isinstance(shown, Lines)
        begin(jobs[0], 10)
        end(jobs[0], "diverged")
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1
    assert lines[-1].startswith("1 of 4 runs done, 0 running, 1 diverged, ")


def test_times_are_written_as_people_say_them() -> None:
    assert [in_words(seconds) for seconds in (0.4, 59.4, 59.6, 200, 7500)] == [
        "0 s", "59 s", "1 min 0 s", "3 min 20 s", "2 h 5 min",
    ]  # fmt: skip
