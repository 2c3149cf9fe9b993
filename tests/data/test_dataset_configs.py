"""Every file in configs/dataset fits its loader and the split."""

import importlib
import inspect
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from bnexp.config.compose import compose_run
from bnexp.data.dataset import Dataset
from bnexp.data.split import split
from bnexp.experiment import prepare
from bnexp.ranges import violation

CONFIGS = Path(__file__).parents[2] / "configs"
CHOICES = sorted(path.stem for path in (CONFIGS / "dataset").glob("[!_]*.yaml"))


def node_of(choice: str, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(overrides=[f"+dataset={choice}", *overrides])
    return OmegaConf.to_container(config.dataset, resolve=True)  # type: ignore[return-value]


def target_of(node: dict[str, Any]) -> Callable[..., Any]:
    module, _, name = node.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def keyword_types(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert parameter.default is parameter.empty, f"{name} has a second default"
            yield name, hints[name]


def test_there_is_a_choice_for_every_loader():
    expected = (
        "breast_cancer brightness cifar10 cifar100 credit csv digits fashion_mnist image_folder mnist two_features"
    )
    assert " ".join(CHOICES) == expected


@pytest.mark.parametrize("choice", CHOICES)
def test_a_dataset_config_has_the_keys_of_its_loader_and_of_the_split(choice: str):
    node = node_of(choice)
    types = dict([*keyword_types(target_of(node)), *keyword_types(split)])
    assert node.keys() == types.keys()
    assert {key: violation(node[key], types[key]) for key in node} == dict.fromkeys(node)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_dataset_config_starts_with_its_description(choice: str):
    assert (CONFIGS / "dataset" / f"{choice}.yaml").read_text().startswith("# ")


@pytest.mark.parametrize("key", ["val_fraction", "test_fraction"])
@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.1])
def test_a_split_of_nothing_or_everything_breaks_the_rule(key: str, share: float):
    assert violation(share, dict(keyword_types(split))[key]) == "must be greater than 0 and less than 1"


@pytest.mark.parametrize("key", ["val_fraction", "test_fraction"])
def test_a_split_of_no_number_breaks_the_rule(key: str):
    rule = violation(math.nan, dict(keyword_types(split))[key])
    assert rule == "must be finite and greater than 0 and less than 1"


def test_the_folder_of_data_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BNEXP_DATA", raising=False)
    assert node_of("mnist")["root"] == "data"
    monkeypatch.setenv("BNEXP_DATA", "/some/where")
    assert node_of("mnist")["root"] == "/some/where"
    assert node_of("credit")["path"] == "/some/where/UCI_Credit_Card.csv"


@pytest.mark.parametrize(("key", "value"), [("subset", 0.1), ("label_noise", 0.3), ("scaling", "raw")])
def test_the_keys_of_the_split_can_be_overridden(key: str, value: object):
    assert node_of("digits", f"dataset.{key}={value}")[key] == value


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("label_noise", 1.5, "must be at least 0 and at most 1"),
        ("label_noise", -0.1, "must be at least 0 and at most 1"),
        ("scaling", "units", "must be one of standardized, unit, raw"),
    ],
)
def test_a_value_that_is_no_option_of_a_dataset_breaks_the_rule(key: str, value: object, rule: str):
    assert violation(value, dict(keyword_types(split))[key]) == rule


def prepared(*overrides: str, folder: Path) -> Dataset:
    composed = compose_run([*overrides, "model=mlp", "model.width=8", f"output_dir={folder}"])
    return prepare(*composed).dataset


def test_the_options_reach_the_data_of_a_run(tmp_path: Path):
    plain = prepared(folder=tmp_path)
    changed = prepared("dataset.label_noise=0.5", "dataset.scaling=unit", folder=tmp_path)
    assert torch.equal(plain.train.inputs, changed.train.inputs)
    assert int((plain.train.labels != changed.train.labels).sum()) == round(0.5 * len(plain.train))
    assert (changed.mean.item(), changed.std.item()) == (0, 16)
    other_seed = prepared("dataset.label_noise=0.5", "seed=1", folder=tmp_path)
    assert not torch.equal(other_seed.train.inputs, changed.train.inputs)


def test_a_seed_of_a_run_splits_the_rows_of_a_toy_and_computes_no_new_ones(tmp_path: Path):
    def ages(seed: int) -> list[float]:
        dataset = prepared("dataset=two_features", "dataset.scaling=raw", f"seed={seed}", folder=tmp_path)
        return [age for part in (dataset.train, dataset.val, dataset.test) for age in part.inputs[:, 0].tolist()]

    assert ages(0) != ages(1)
    assert sorted(ages(0)) == sorted(ages(1))
