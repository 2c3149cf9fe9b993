"""The numbers of parameters in docs/models.md, counted on the networks that the configurations make."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from bnexp.config.compose import compose_run
from bnexp.config.targets import build
from bnexp.nn import norms

DOCS = Path(__file__).parents[2] / "docs"
NETWORKS = {
    "`convnet`": ["model=convnet"],
    "`mlp`": ["model=mlp"],
    "`resnet`, with or without shortcuts": ["model=resnet"],
    "`googlenet`, `model.width=192`": ["model=googlenet", "model.width=192"],
    "`googlenet`": ["model=googlenet"],
}
VGG = {11: 0, 13: 1, 16: 2, 19: 3}


def num_weights_and_biases(*words: str) -> int:
    """Of convolutions and linear layers, for 3 × 32 × 32 images and 10 classes."""
    node = compose_run(words).config["model"]
    architecture = {key: value for key, value in node.items() if key not in ("weights", "freeze")}
    model = build(architecture, "model")((3, 32, 32), 10, nn.ReLU, norms.none())
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return sum(parameter.numel() for layer in layers for parameter in (layer.weight, layer.bias))


def documented(network: str) -> str:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    rows = text.partition("| network | parameters |")[2].partition("\n\n")[0].splitlines()
    cells = [row.removeprefix("| ").split(" | ") for row in rows if row.startswith("| ")]
    (count,) = [second for first, second, *_ in cells if first == network]
    return count


@pytest.mark.parametrize("network", NETWORKS)
def test_the_table_has_the_parameters_of_the_network(network):
    assert documented(network) == f"{num_weights_and_biases(*NETWORKS[network]):,}"


@pytest.mark.parametrize("depth", VGG)
def test_the_table_has_the_parameters_of_each_vgg(depth):
    counts = documented("`vgg` 11, 13, 16, 19").split(" · ")
    assert counts[VGG[depth]] == f"{num_weights_and_biases('model=vgg', f'model.depth={depth}'):,}"


def test_a_resnet_without_shortcuts_has_as_many():
    assert num_weights_and_biases("model=resnet", "model.shortcut=false") == 269_034
