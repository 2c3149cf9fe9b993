"""The activation functions of a network are found wherever a model puts them."""

import copy
from functools import partial

import pytest
from torch import nn

from bnexp.config.compose import compose_run
from bnexp.experiment import prepare
from bnexp.nn.activation import activations, marked


def test_modules_of_a_marked_factory_are_found_and_no_others():
    make = marked(partial(nn.LeakyReLU, negative_slope=0.1))
    inner, outer = make(), make()
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(inner, nn.LeakyReLU()), nn.ReLU(), outer)
    assert [id(module) for module in activations(model)] == [id(inner), id(outer)]
    assert (type(inner), inner.negative_slope) == (nn.LeakyReLU, 0.1)


@pytest.mark.parametrize(
    ("words", "num_activations"),
    [
        (["model=mlp", "model.depth=3"], 3),
        (["model=convnet", "model.depth=5", "norm=batch", "model.norm_position=after"], 5),
        (["model=resnet", "model.depth=8"], 7),  # after the stem, within and after each of three blocks
    ],
)
def test_a_runs_model_has_all_its_activation_functions_found(tmp_path, words, num_activations):
    composed = compose_run([*words, "activation=tanh", "model.width=4", f"output_dir={tmp_path}"])
    model = prepare(*composed).model
    assert [type(module) for module in activations(model)] == [nn.Tanh] * num_activations
    assert len(activations(copy.deepcopy(model))) == num_activations


def test_a_mark_is_no_part_of_the_state():
    assert not marked(nn.PReLU)().state_dict().keys() ^ nn.PReLU().state_dict().keys()
