"""Overrides become one configuration, from the user's config folders and bnexp's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bnexp.config import compose
from bnexp.config.check import check
from bnexp.config.compose import compose_arm, compose_run, compose_seeds
from bnexp.errors import ConfigError


def test_the_last_override_counts_and_choices_are_named() -> None:
    composed = compose_run(["norm=batch", "norm.eps=0.5", "seed=1", "seed=2"])
    assert composed.config["norm"]["eps"] == 0.5
    assert composed.config["seed"] == 2
    assert composed.choices["norm"] == "batch"
    assert "hydra" not in composed.config


def test_a_users_choice_goes_before_bnexps_own_of_that_name(tmp_path: Path) -> None:
    folder = tmp_path / "a folder, with [odd] characters" / "norm"
    folder.mkdir(parents=True)
    (folder / "batch.yaml").write_text("eps: 7\n")
    (folder / "mine.yaml").write_text("eps: 8\n")
    assert compose_run(["norm=batch"], [folder.parent]).config["norm"] == {"eps": 7}
    assert compose_run(["norm=mine"], [folder.parent]).config["norm"] == {"eps": 8}
    assert compose_run(["norm=batch"]).config["norm"]["eps"] == 1e-5


def test_a_misspelt_choice_of_the_user_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "peculiar.yaml").write_text("eps: 7\n")
    with pytest.raises(ConfigError, match="did you mean 'peculiar'"):
        compose_run(["norm=pecular"], [tmp_path])


@pytest.mark.parametrize("word", ["norm=none,batch", "seed=range(3)", "optimizer.lr=choice(0.1,1)"])
def test_several_values_are_no_single_run(word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_run(["model=mlp", word])
    assert str(caught.value).startswith(f"{word}: names several values")
    assert "bnexp train -m" in str(caught.value)


def test_no_choice_at_all_is_a_mistake_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^norm=null: norm has no such choice.*$"):
        compose_run(["norm=null"])


@pytest.mark.parametrize("words", [[], ["norm=batch"], ["model=mlp", "model.weights=run-${seed}.pt"]])
def test_composing_many_seeds_gives_what_composing_each_gives(words: list[str]) -> None:
    seeds = [3, 0, 7, 1]
    alone = [compose_run([*words, f"seed={seed}"]) for seed in seeds]
    assert compose_seeds(words, seeds) == alone
    assert compose_arm(words, seeds) == [[run] for run in alone]


def test_seeds_that_nothing_follows_are_not_resolved_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved, calls = compose.resolved, []

    def counting(*arguments: object) -> object:
        calls.append(arguments)
        return resolved(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(compose, "resolved", counting)
    found = compose_arm([], range(1000))
    assert len(calls) <= 3
    assert [run.config["seed"] for [run] in found] == [*range(1000)]
    found[5][0].config["norm"]["eps"] = 1  # each is its own
    assert "eps" not in found[6][0].config["norm"]


@pytest.mark.parametrize("line", ["norm._partial_=true: must be false", "init._partial_=null: must be true"])
def test_a_choice_that_waits_where_it_should_not_or_does_not_where_it_should_is_refused(
    tmp_path: Path, line: str
) -> None:
    group = line.partition(".")[0]
    text = {
        "norm": "_target_: bnexp.nn.norms.none\n_partial_: true\n",
        "init": "_target_: bnexp.nn.keras_initializers.zeros_\n",
    }
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text(text[group])
    with pytest.raises(ConfigError, match=re.escape(line)):
        check(*compose_run([f"{group}=mine"], [tmp_path]))
