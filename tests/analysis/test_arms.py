"""Which runs form an arm, and what it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.analysis.synthetic import write_run

from bnexp.analysis.arms import (
    Arm,
    by_configuration,
    by_values,
    common,
    differing,
    distinct,
    find_arm,
    in_order,
    incidental,
    pooled,
    same,
)
from bnexp.analysis.runs import Run, find_runs
from bnexp.errors import ConfigError


def runs_of(root: Path, *configurations: dict[str, Any], num_seeds: int = 1) -> list[Run]:
    for number, values in enumerate(configurations):
        for seed in range(num_seeds):
            write_run(root, f"{number:010d}", seed, **values)
    return find_runs([root])[0]


def labels(root: Path, *configurations: dict[str, Any]) -> list[str]:
    return [arm.label for arm in by_configuration(runs_of(root, *configurations))]


def test_runs_that_differ_only_in_the_seed_form_an_arm(tmp_path: Path) -> None:
    arms = by_configuration(runs_of(tmp_path, {"norm": "none"}, {"norm": "batch"}, num_seeds=12))
    assert [arm.label for arm in arms] == ["norm=none", "norm=batch"]
    assert [[run.seed for run in arm.runs] for arm in arms] == [list(range(12))] * 2


def test_a_label_holds_what_differs_in_the_order_of_a_configuration(tmp_path: Path) -> None:
    found = labels(
        tmp_path,
        {"optimizer__lr": 0.1, "norm": "batch", "init": "he"},
        {"optimizer__lr": 0.01, "norm": "none", "init": "default"},
    )
    assert found == ["init=he norm=batch optimizer.lr=0.1", "init=default norm=none optimizer.lr=0.01"]


def test_settings_that_come_with_a_choice_are_left_out_but_where_the_choice_is_the_same(tmp_path: Path) -> None:
    found = labels(
        tmp_path,
        {"norm": "none"},
        {"norm": "batch", "norm__momentum": 0.1, "norm__eps": 1e-5},
        {"norm": "group", "norm__num_groups": 4, "norm__eps": 1e-3},
        {"norm": "group", "norm__num_groups": 8, "norm__eps": 1e-3},
    )
    assert found == ["norm=none", "norm=batch", "norm=group norm.num_groups=4", "norm=group norm.num_groups=8"]


def test_a_setting_that_both_choices_have_is_told_as_differing_too(tmp_path: Path) -> None:
    adam = {"optimizer": "adam", "optimizer__lr": 0.001, "optimizer__betas": [0.9, 0.999]}
    arms = by_configuration(runs_of(tmp_path, adam, {"optimizer": "momentum", "optimizer__lr": 0.01}))
    assert differing(arms) == {"optimizer": ["adam", "momentum"]}
    assert incidental(arms) == {"optimizer.lr": [0.001, 0.01]}


def test_a_single_arm_is_called_all(tmp_path: Path) -> None:
    assert labels(tmp_path, {"norm": "batch"}) == ["(all)"]


def test_configurations_that_look_the_same_are_told_apart_by_their_fingerprints(tmp_path: Path) -> None:
    # An edited table of the user's own, or another version of bnexp.
    found = labels(tmp_path, {"norm": "none"}, {"norm": "batch"}, {"norm": "batch"})
    assert found == ["norm=none", "norm=batch [0000000001]", "norm=batch [0000000002]"]


def test_a_value_that_varies_within_an_arm_is_no_part_of_a_label(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 0, training__device="cpu")
    write_run(tmp_path, "a", 1, training__device="cuda")
    write_run(tmp_path, "b", 0, training__device="cpu", norm="batch")
    arms = by_configuration(find_runs([tmp_path])[0])
    assert [arm.label for arm in arms] == ["norm=none", "norm=batch"]
    assert incidental(arms) == {"training.device": ["cpu", "cuda"]}


@pytest.mark.parametrize("key", ["device", "timeout", "graph", "compile", "replicas"])
def test_where_and_how_a_run_was_launched_is_no_part_of_a_label(tmp_path: Path, key: str) -> None:
    write_run(tmp_path, "a", 0, **{f"training__{key}": "one"})
    write_run(tmp_path, "b", 0, **{f"training__{key}": "another"}, norm="batch")
    assert [arm.label for arm in by_configuration(find_runs([tmp_path])[0])] == ["norm=none", "norm=batch"]


def test_a_group_that_older_records_lack_is_called_a_lack(tmp_path: Path) -> None:
    assert labels(tmp_path, {}, {"noise": "mine"}) == ["no noise", "noise=mine"]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("a\x1b[2Jb\nc\td\x00", r"norm=a\x1b[2Jb\nc\td\x00"),
        ("<script>|`$x$", "norm=<script>|`$x$"),
        ("größe数据🙂", "norm=größe数据🙂"),
        ("left\u202eright", r"norm=left\u202eright"),
    ],
)
def test_a_label_is_one_line_that_leaves_a_terminal_alone(tmp_path: Path, value: str, label: str) -> None:
    assert labels(tmp_path, {"norm": "none"}, {"norm": value})[1] == label


def test_grouping_by_values_pools_everything_else(tmp_path: Path) -> None:
    factorial = [{"init": init, "norm": norm} for init in ("default", "he") for norm in ("none", "batch")]
    arms = by_values(runs_of(tmp_path, *factorial, num_seeds=3), ["norm"])
    assert [(arm.label, len(arm.runs)) for arm in arms] == [("norm=none", 6), ("norm=batch", 6)]
    assert pooled(arms) == ({"init": ["default", "he"]}, True)


def test_arms_that_pool_different_mixes_are_found(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, {"init": "default"}, {"init": "he"}, {"init": "he", "norm": "batch"})
    assert pooled(by_values(runs, ["norm"])) == ({"init": ["default", "he"]}, False)


def test_grouping_by_a_setting_that_some_runs_lack_makes_an_arm_of_those(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, {"norm": "none"}, *({"norm": "group", "norm__num_groups": n} for n in (4, 8)))
    assert [arm.label for arm in by_values(runs, ["norm.num_groups"])] == [
        "no norm.num_groups", "norm.num_groups=4", "norm.num_groups=8",
    ]  # fmt: skip


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^nrom: the runs have no such .*; did you mean 'norm'\?$"):
        by_values(runs_of(tmp_path, {}), ["nrom"])


def test_arms_are_sorted_default_first_and_numbers_by_size(tmp_path: Path) -> None:
    settings = [(norm, lr) for norm in ("batch", "none", "layer") for lr in (0.1, 1, 0.02)]
    runs = runs_of(tmp_path, *({"norm": norm, "optimizer__lr": lr} for norm, lr in settings))
    found = in_order(by_configuration(runs), {"norm": "none"})
    assert [(arm.settings["norm"], arm.settings["optimizer.lr"]) for arm in found] == [
        (norm, lr) for norm in ("none", "batch", "layer") for lr in (0.02, 0.1, 1)
    ]


def test_numbers_texts_null_and_lacks_can_be_sorted_together(tmp_path: Path) -> None:
    sizes = ("full", 64, None, 8)
    runs = runs_of(tmp_path, *({"training__batch_size": size} for size in sizes), {})
    found = [arm.settings.get("training.batch_size", "lack") for arm in in_order(by_configuration(runs), {})]
    assert found == [None, 8, 64, "full", "lack"]


def test_copies_of_a_run_count_once(tmp_path: Path) -> None:
    first, copy = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    write_run(tmp_path / "b", seed=1)
    runs, copies = distinct(find_runs([tmp_path])[0])
    assert [run.seed for run in runs] == [0, 1]
    assert copies == [f"{copy}: the same run as {first}"]


def test_common_values_are_those_of_all_runs(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, {"norm__eps": 1.0}, {"norm": "batch", "norm__eps": 1.0}, num_seeds=2)
    assert list(common(runs).items()) == [
        ("dataset", "digits"), ("dataset.subset", 1.0), ("model", "convnet"), ("model.depth", 3), ("init", "default"),
        ("norm.eps", 1.0), ("optimizer", "momentum"), ("optimizer.lr", 0.01),
        ("training", "default"), ("training.device", "auto"), ("training.epochs", 2),
    ]  # fmt: skip


@pytest.fixture
def factorial(tmp_path: Path) -> list[Arm]:
    values = [{"init": init, "norm__eps": eps} for init in ("default", "he") for eps in (1e-5, 0.001)]
    return by_configuration(runs_of(tmp_path, *values, num_seeds=2))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("init=he norm.eps=0.001", 3),
        ("norm.eps=1e-3 init=he", 3),
        ("norm.eps=0.00001 init=default model=convnet", 0),
        ("2", 1),
    ],
)
def test_an_arm_is_found_by_label_number_or_words(factorial: list[Arm], text: str, number: int) -> None:
    assert find_arm(factorial, text) is factorial[number]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "init=he",
            "init=he: this fits 2 arms; add what tells apart 'init=he norm.eps=1e-05', 'init=he norm.eps=0.001'",
        ),
        ("init=eh norm.eps=0.001", "; did you mean 'init=he norm.eps=0.001'?"),
        ("xyz", "xyz: there is no such arm; write one of 'init=default norm.eps=1e-05', "),
        ("5", "5: there is no such arm"),
        ("0", "0: there is no such arm"),
        ("seed=0", "seed=0: there is no such arm"),
    ],
)
def test_what_names_no_arm_or_several_is_refused(factorial: list[Arm], text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        find_arm(factorial, text)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(1e-5, "0.00001", True), ("1e-5", 1e-5, True), (None, "null", True), (True, "true", True), (0.1, 0.2, False),
     ("he", "xavier", False), (1, "1.0", True)],
)  # fmt: skip
def test_values_are_the_same_however_they_are_written(one: object, other: object, expected: bool) -> None:
    assert same(one, other) is expected
