"""Same question, same fingerprint: however a number is spelt, and whatever is not looked at."""

from __future__ import annotations

import pytest

from bnexp.config.check import check
from bnexp.config.compose import compose_run
from bnexp.config.fingerprint import fingerprint


def of(*words: str) -> str:
    composed = compose_run(words)
    check(*composed)
    return fingerprint(composed.config, {}, num_train=1294)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (["optimizer.lr=1"], ["optimizer.lr=1.0"]),
        (["optimizer.weight_decay=0"], ["optimizer.weight_decay=0.0"]),
        (["training.gradient_clip=1"], ["training.gradient_clip=1.0"]),
        (["training.eval_every=1"], ["training.eval_every=1.0"]),
        (["optimizer.weight_decay=0.0"], ["optimizer.weight_decay=-0.0"]),
        (["training.batch_size=full"], ["training.batch_size=1294"]),
        (["schedule=step", "schedule.milestones=[0,0.5]"], ["schedule=step", "schedule.milestones=[0.0,0.5]"]),
        (["training.device=cpu"], ["training.device=auto"]),
        (["model=mlp", "model.hidden=[9]"], ["model=mlp", "model.hidden=[9]", "model.depth=7", "model.width=null"]),
        (["seed=1"], ["seed=2"]),
    ],
)
def test_one_question_has_one_fingerprint(one: list[str], same: list[str]) -> None:
    assert of(*one) == of(*same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["optimizer.lr=1"], ["optimizer.lr=1.0000001"]),
        (["training.batch_size=64"], ["training.batch_size=65"]),
        (["training.threads=1"], ["training.threads=auto"]),
        (["model=mlp", "model.width=7"], ["model=mlp", "model.width=8"]),
        (["model=mlp", "model.hidden=[9]"], ["model=mlp", "model.hidden=[8]"]),
        (["init=xavier", "init.gain=1"], ["init=xavier", "init.gain=2"]),
        (["norm=none"], ["norm=batch"]),
        (["training.batch_size=full"], ["training.batch_size=1293"]),
    ],
)
def test_another_question_has_another(one: list[str], other: list[str]) -> None:
    assert of(*one) != of(*other)
