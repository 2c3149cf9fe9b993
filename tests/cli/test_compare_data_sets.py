"""``bnexp compare`` on runs of different data: a table each, and never a best or a difference across them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.synthetic import write_run
from tests.sealing import seal_again

from bnexp.analysis.runs import find_runs
from bnexp.analysis.same_data import by_data, is_same_data
from bnexp.cli.main import main

Capture = pytest.CaptureFixture[str]


def write_two(root: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two norms with two seeds on each of two data sets; the second is the easier one by far."""
    for number, (data, accuracy) in enumerate(((one, 0.1), (other, 0.97))):
        for index, norm in enumerate(("none", "batch")):
            for seed in (0, 1):
                value = accuracy + 0.01 * index + 0.001 * seed
                write_run(root, f"{number}{index:09d}", seed, norm=norm, accuracy=value, **data)


def told(capsys: Capture, *words: str) -> str:
    assert main(["compare", *words]) == 0
    return capsys.readouterr().out


EXAMPLES = {"train": 100, "val": 20, "test": 40}
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another choice": ({"dataset": "digits"}, {"dataset": "mnist"}),
    "another target": ({}, {"dataset___target_": "mine.digits"}),
    "another file": ({"dataset": "csv", "dataset__path": "a.csv"}, {"dataset": "csv", "dataset__path": "b.csv"}),
    "another column": ({"dataset__target": "ill"}, {"dataset__target": "old"}),
    "other toys": ({"dataset__data_seed": 0}, {"dataset__data_seed": 1}),
    "more noise": ({"dataset__noise": 0.1}, {"dataset__noise": 0.5}),
    "another share": ({"dataset__test_fraction": 0.2}, {"dataset__test_fraction": 0.4}),
    "more examples": ({"examples": EXAMPLES}, {"examples": EXAMPLES | {"test": 80}}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_runs_of_other_data_have_a_table_of_their_own(tmp_path: Path, capsys: Capture, name: str) -> None:
    write_two(tmp_path, *OTHERS[name])
    out = told(capsys, str(tmp_path))
    assert out.startswith("These runs are of 2 data sets, a table each")
    assert out.count("baseline  ") + out.count(" baseline\n") == 2
    assert out.count(" best") == 2  # one of each table
    assert "+0.8" not in out
    assert out.count("+0.0100 [") == 2


@pytest.mark.parametrize("name", OTHERS)
def test_so_has_json(tmp_path: Path, capsys: Capture, name: str) -> None:
    write_two(tmp_path, *OTHERS[name])
    found = json.loads(told(capsys, str(tmp_path), "--json"))["data_sets"]
    assert [len(each["arms"]) for each in found] == [2, 2]
    assert len({each["data"] for each in found}) == 2
    for each in found:
        differences = [arm["difference"]["points"] for arm in each["arms"] if arm["difference"]]
        assert differences == [pytest.approx(0.01)]


def test_pooling_does_not_pool_over_data_either(tmp_path: Path, capsys: Capture) -> None:
    write_two(tmp_path, {"dataset": "digits"}, {"dataset": "mnist"})
    for key in ("norm", "dataset", "model"):
        found = json.loads(told(capsys, str(tmp_path), "--json", "--by", key))["data_sets"]
        assert [{run for arm in each["arms"] for run in arm["values"]} for each in found] == [
            {0.1, 0.101, 0.11, 0.111},
            {0.97, 0.971, 0.98, 0.981},
        ]


def test_curves_of_other_data_are_not_drawn_into_one_picture(tmp_path: Path, capsys: Capture) -> None:
    write_two(tmp_path, {"dataset": "digits"}, {"dataset": "mnist"})
    assert main(["compare", str(tmp_path), "--plot", str(tmp_path / "curves")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 data sets (dataset=digits; dataset=mnist)" in err
    assert err.count("\n") == 1
    assert not [*tmp_path.glob("curves*")]


def test_a_csv_has_the_runs_of_all_data_with_their_names(tmp_path: Path, capsys: Capture) -> None:
    write_two(tmp_path, {"dataset": "digits"}, {"dataset": "mnist"})
    rows = [*csv.DictReader(told(capsys, str(tmp_path), "--csv", "-").splitlines())]
    assert sorted(row["dataset"] for row in rows) == ["digits"] * 4 + ["mnist"] * 4


def test_a_baseline_has_to_be_an_arm_of_each(tmp_path: Path, capsys: Capture) -> None:
    write_two(tmp_path, {"dataset": "digits"}, {"dataset": "mnist"})
    found = json.loads(told(capsys, str(tmp_path), "--json", "--baseline", "norm=batch"))["data_sets"]
    assert [each["baseline"] for each in found] == ["norm=batch"] * 2
    write_run(tmp_path, "9" * 10, 0, dataset="digits", norm="layer")
    assert main(["compare", str(tmp_path), "--baseline", "norm=layer"]) == 2
    assert "among the runs of dataset=mnist" in capsys.readouterr().err


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "scaling": ({"dataset__scaling": "raw"}, {"dataset__scaling": "unit"}),
    "wrong training labels": ({"dataset__label_noise": 0.0}, {"dataset__label_noise": 0.2}),
    "fewer training examples": (
        {"dataset__subset": 1.0, "examples": EXAMPLES},
        {"dataset__subset": 0.1, "examples": EXAMPLES | {"train": 10, "val": 2}},
    ),
    "other learning rates": ({"optimizer__lr": 0.1}, {"optimizer__lr": 0.2}),
}


@pytest.mark.parametrize("name", SAME)
def test_what_leaves_the_test_examples_as_they_are_is_compared_in_one_table(
    tmp_path: Path, capsys: Capture, name: str
) -> None:
    write_two(tmp_path, *SAME[name])
    out = told(capsys, str(tmp_path))
    assert "data sets" not in out
    assert out.count("best") == 1


def test_another_validation_split_keeps_validation_scores_apart(tmp_path: Path) -> None:
    write_two(tmp_path, {"dataset__subset": 1.0}, {"dataset__subset": 0.1})
    runs, _ = find_runs([tmp_path])
    assert is_same_data(runs, "test/accuracy")
    assert is_same_data(runs, "best/test/accuracy")
    assert not is_same_data(runs, "val/accuracy")
    assert not is_same_data(runs, "best/val/accuracy")


def test_published_data_are_the_same_wherever_they_lie(tmp_path: Path) -> None:
    published = {"dataset": "mnist", "dataset___target_": "bnexp.data.published.mnist"}
    write_two(tmp_path, published | {"dataset__root": "data"}, published | {"dataset__root": "/elsewhere"})
    assert is_same_data(find_runs([tmp_path])[0], "test/accuracy")


@pytest.mark.parametrize(("second", "is_same"), [("d1", True), ("d2", False)])
def test_files_are_known_by_their_digest_where_one_was_recorded(tmp_path: Path, second: str, is_same: bool) -> None:
    write_two(tmp_path, {"dataset__path": "a.csv"}, {"dataset__path": "b.csv"})
    for file in tmp_path.rglob("result.json"):
        result = json.loads(file.read_text())
        result["data"] = {"digest": "d1" if file.parent.name.startswith("0") else second, "classes": {"a": 3, "b": 4}}
        file.write_text(json.dumps(result))
        seal_again(file.parent)
    found = by_data(find_runs([tmp_path])[0], "test/accuracy")
    assert (len(found) == 1) is is_same
