"""The plan: which words make which run, in which folder, and what is refused before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bnexp.config.compose import compose_run
from bnexp.errors import ConfigError
from bnexp.experiment import prepare
from bnexp.studies.definition import parse_study
from bnexp.studies.plan import Plan, make_plan, merged

NODE: dict[str, Any] = {
    "question": "?",
    "base": ["model.depth=3", "model.width=4", "training.epochs=2"],
    "arms": {"plain": ["init=default", "norm=none"]},
    "factors": {"init": ["default", "he"], "norm": ["none", "batch"]},
    "baseline": "plain",
    "seeds": 2,
    "target": {"value": 0.5},
    "settings": {"wide": ["model.width=8", "seeds=3", "target=0.7"]},
}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def make(*words: str, **changes: Any) -> Plan:
        return make_plan(parse_study("s", "", NODE | changes), words)

    return make


def test_every_arm_has_a_job_for_each_seed_in_the_folder_that_train_would_take(plan) -> None:
    made = plan()
    assert [len(item.jobs) for item in made.arms] == [2] * 5
    for item in made.arms:
        for seed, job in enumerate(item.jobs):
            assert job.words == (*item.words, f"seed={seed}")
            assert job.path == prepare(*compose_run(job.words)).path
            assert job.num_steps == 2 * (1293 // 64)


def test_a_run_that_two_arms_share_is_run_once(plan) -> None:
    made = plan()
    assert len(made.jobs) == 8
    assert made.arms[0].jobs[0].path == made.arms[1].jobs[0].path


def test_every_arm_runs_a_seed_before_the_next_seed_starts(plan) -> None:
    made = plan(seeds=3)
    seeds = [job.words[-1] for job in made.jobs]
    assert seeds == sorted(seeds)
    assert {*seeds} == {"seed=0", "seed=1", "seed=2"}


def test_nothing_is_written(plan, tmp_path: Path) -> None:
    plan()
    assert list(tmp_path.iterdir()) == []


def test_the_last_word_of_a_key_counts() -> None:
    assert merged(["a=1", "b=2", "+a=3", "~c"]) == ("+a=3", "b=2", "~c")


def test_the_users_words_go_before_the_studys_and_after_its_settings(plan) -> None:
    widths = {words: plan(*words, factors={}).arms[0].composed.config["model"]["width"]
              for words in [(), ("model.width=6",), ("setting=wide",), ("setting=wide", "model.width=6")]}  # fmt: skip
    assert [*widths.values()] == [4, 6, 8, 6]


@pytest.mark.parametrize(("word", "value"), [("target=1e-5", 1e-5), ("target=+.5", 0.5), ("target=0.7", 0.7)])
def test_a_target_may_be_written_like_any_number(plan, word: str, value: float) -> None:
    assert plan(word).study.target.value == value


def test_seeds_and_target_are_the_users_then_the_settings(plan) -> None:
    for words, seeds, target in [
        ((), 2, 0.5),
        (("setting=wide",), 3, 0.7),
        (("setting=wide", "seeds=1", "target=0.9"), 1, 0.9),
    ]:
        made = plan(*words, factors={})
        assert made.study.seeds == seeds == len(made.arms[0].jobs)
        assert made.study.target is not None
        assert made.study.target.value == target


def test_another_question_has_another_folder(plan) -> None:
    folders = {
        words: plan(*words, factors={}).folder.as_posix()
        for words in [
            (),
            ("seeds=1",),
            ("output_dir=elsewhere",),
            ("hydra/launcher=basic",),
            ("setting=wide",),
            ("model.width=6",),
        ]
    }
    names = [*folders.values()]
    assert names[:5] == ["outputs/studies/s"] * 2 + [
        "elsewhere/studies/s",
        "outputs/studies/s",
        "outputs/studies/s-wide",
    ]
    assert names[5].startswith("outputs/studies/s-")
    assert names[5] != names[4]


def test_a_value_that_follows_the_seed_is_followed(plan) -> None:
    made = plan("dataset=two_features", "dataset.data_seed=${seed}", "model=mlp", base=[], factors={})
    first, second = made.arms[0].jobs
    assert first.path.name.split("-")[0] != second.path.name.split("-")[0]
    assert second.path == prepare(*compose_run(second.words)).path


WRONG = {
    "seed=3": "seed=3: a study sets the seeds itself; seeds=N takes the seeds 0 to N - 1",
    "seeds=0": "seeds=0 must be at least 1; seeds=5 takes the seeds 0 to 4",
    "seeds=1000000000": "seeds=1000000000 must be at most 10000; seeds=5 takes the seeds 0 to 4",
    "hydra.launcher._target_=os.system": "Hydra's own parts are chosen by name, such as hydra/launcher=joblib",
    "seeds=x": "seeds=x must be a whole number",
    "target=x": "target=x must be a number; it is a value of val/accuracy",
    "target=90": "target=90 must be at least 0 and at most 1; it is a value of val/accuracy",
    "setting=wdie": "setting=wdie: study s has no such setting; did you mean 'wide'? (it has: wide)",
    "norm=layer": "norm=layer: the arms of study s set norm themselves (arm plain)",
    "model.dpeth=2": "arm plain: model.dpeth: there is no such key; did you mean 'model.depth'?",
    "model.width=0": "arm plain: model.width=0 must be at least 1",
    "optimizer.lr=1,2": "names several values, and one run takes one",
}


@pytest.mark.parametrize("word", WRONG)
def test_a_mistake_is_told_in_a_line(word: str, plan) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(word, factors={})
    assert WRONG[word] in str(caught.value)


def test_what_is_wrong_in_the_last_arm_is_found_before_the_first_one_runs(plan, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arm init=default norm=group: norm\.num_groups=8 does not"):
        plan(factors={"init": ["default", "he"], "norm": ["none", "group"]})
    assert list(tmp_path.iterdir()) == []
