"""Which runs go side by side: seeds of one configuration, on a GPU alone."""

from pathlib import Path

from bnexp.config.compose import Composed
from bnexp.studies.packs import equal_but_for_seeds, packs
from bnexp.studies.plan import Job


def job(seed, init="he", device="cpu"):
    config = {"seed": seed, "init": {"name": init}, "training": {"device": device}}
    return Job((f"init={init}", f"seed={seed}"), Composed(config, {}), Path(f"{init}-s{seed}"), init, num_steps=10)


def test_jobs_that_differ_in_their_seed_alone_are_a_group_in_the_order_in_which_they_came():
    jobs = [job(0), job(0, "xavier"), job(1), job(1, "xavier"), job(2)]
    assert equal_but_for_seeds(jobs) == [[jobs[0], jobs[2], jobs[4]], [jobs[1], jobs[3]]]


def test_what_follows_the_seed_is_a_difference():
    one, other = job(0), job(1)
    other.composed.config["training"]["epochs"] = 1
    assert equal_but_for_seeds([one, other]) == [[one], [other]]


def test_on_a_cpu_each_job_goes_by_itself_in_its_turn():
    jobs = [job(0), job(0, "xavier"), job(1)]
    assert [*packs(jobs)] == [[jobs[0]], [jobs[1]], [jobs[2]]]
