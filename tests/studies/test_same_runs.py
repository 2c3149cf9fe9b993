"""Arms that are the same runs under two names, and words that make no arm, are refused before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bnexp.errors import ConfigError
from bnexp.studies.definition import parse_study
from bnexp.studies.plan import make_plan

NODE: dict[str, Any] = {
    "question": "?",
    "base": ["dataset=two_features", "dataset.num_examples=200", "model=mlp", "model.width=4", "training.epochs=2"],
    "baseline": "one",
    "seeds": 2,
}


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def of(**changes: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            make_plan(parse_study("s", "", NODE | changes), [])
        assert not [*tmp_path.iterdir()]
        text = str(caught.value)
        assert "\n" not in text
        return text

    return of


NO_ARM = {
    "seeds": (["seed=11"], ["seed=22"]),
    "one seed": ([], ["seed=1"]),
    "an added seed": ([], ["++seed=1"]),
    "replicas": ([], ["training.replicas=2"]),
    "added replicas": ([], ["++training.replicas=2"]),
}


@pytest.mark.parametrize("name", NO_ARM)
def test_seeds_and_replicas_make_no_arm(refusal, name: str) -> None:
    one, two = NO_ARM[name]
    line = refusal(arms={"one": one, "two": two})
    assert line.startswith(f"study s: {(one or two)[0]}: ")
    assert line.endswith("take the word out")


def test_nor_are_seeds_a_factor_or_a_word_of_the_base_or_a_setting(refusal) -> None:
    factors = {"seed": [1, 2], "norm": ["none", "batch"]}
    assert "seed=1: " in refusal(factors=factors, baseline="seed=1 norm=none")
    assert "seed=3: " in refusal(arms={"one": []}, base=[*NODE["base"], "seed=3"])
    assert "seed=3: " in refusal(arms={"one": []}, settings={"large": ["seed=3"]})


SAME = {
    "spelling": (["optimizer.lr=1"], ["optimizer.lr=1.0"]),
    "exponent": (["optimizer.lr=0.01"], ["optimizer.lr=1e-2"]),
    "order": (["norm=batch", "init=he"], ["init=he", "norm=batch"]),
    "default": ([], ["norm=none"]),
    "device": (["training.device=auto"], ["training.device=cpu"]),
    "graph": ([], ["training.graph='off'"]),
    "timeout": ([], ["training.timeout=1000"]),
    "rerun": ([], ["rerun=true"]),
    "overruled": (["model.hidden=[4]", "model.width=4"], ["model.hidden=[4]", "model.width=8"]),
    "nothing": ([], []),
}


@pytest.mark.parametrize("name", SAME)
def test_two_arms_of_the_same_runs_are_refused_whatever_their_words(refusal, name: str) -> None:
    one, two = SAME[name]
    line = refusal(arms={"one": one, "two": two})
    assert line.startswith("study s: arms one and two are the same runs: what tells them apart (")
    assert all(word in line for word in {*two} - {*one})
    assert line.endswith("take one of them out")


def test_so_are_two_cells_of_the_factors(refusal) -> None:
    factors = {"optimizer.lr": [0.1, 0.2], "rate": {"a": ["training.timeout=10"], "b": ["training.timeout=20"]}}
    assert "are the same runs" in refusal(factors=factors, baseline="optimizer.lr=0.1 rate=a")


def test_so_is_a_named_arm_that_differs_from_a_cell_in_where_it_runs(refusal) -> None:
    factors = {"norm": ["none", "batch"]}
    assert "are the same runs" in refusal(arms={"one": ["norm=none", "training.timeout=10"]}, factors=factors)


def test_a_named_arm_may_be_another_name_for_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    node = NODE | {"arms": {"one": ["norm=none"]}, "factors": {"norm": ["none", "batch"]}}
    plan = make_plan(parse_study("s", "", node), [])
    assert plan.arms[0].jobs[0].path == plan.arms[1].jobs[0].path


def test_arms_that_differ_in_a_number_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    node = NODE | {"arms": {"one": ["optimizer.lr=1"], "two": ["optimizer.lr=1.0000001"]}}
    assert len(make_plan(parse_study("s", "", node), []).jobs) == 4
