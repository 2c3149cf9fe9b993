"""Every file in configs/dataset fits its loader and the split."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from bnexp.data.split import split
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
    assert " ".join(CHOICES) == "breast_cancer cifar10 cifar100 credit csv digits fashion_mnist image_folder mnist"


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
@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.1, float("nan")])
def test_a_split_of_nothing_or_everything_breaks_the_rule(key: str, share: float):
    assert violation(share, dict(keyword_types(split))[key]) == "must be greater than 0 and less than 1"


def test_the_folder_of_data_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BNEXP_DATA", raising=False)
    assert node_of("mnist")["root"] == "data"
    monkeypatch.setenv("BNEXP_DATA", "/some/where")
    assert node_of("mnist")["root"] == "/some/where"
    assert node_of("credit")["path"] == "/some/where/UCI_Credit_Card.csv"


def test_the_keys_of_the_split_can_be_overridden():
    assert node_of("digits", "dataset.subset=0.1")["subset"] == 0.1
