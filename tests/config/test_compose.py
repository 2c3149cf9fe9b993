"""Overrides become one configuration, from the user's config folders and bnexp's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnexp.config.compose import compose_run
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
