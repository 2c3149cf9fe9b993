"""The plain ConvNet against closed forms, NumPy's way of dealing out, and a network written out by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from bnexp.errors import ConfigError
from bnexp.models.convnet import ConvNet
from bnexp.nn import norms

NONE = norms.none()
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)
SHAPES = [(1, 1, 1), (3, 1, 9), (3, 5, 7), (1, 8, 8), (1, 28, 28), (3, 96, 64)]


def convnet(input_shape=(3, 32, 32), num_classes=10, norm=NONE, activation=nn.ReLU, **changes):
    values = {"depth": 3, "width": 32, "parameters": None, "num_stages": 3, "norm_position": "before"}
    values |= {"dropout": 0.0, "dropout_position": "output"} | changes
    return ConvNet(input_shape, num_classes, activation, norm, **values)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_32_64_128_net_has_the_parameters_of_the_closed_form():
    convolutions = (3 * 9 * 32 + 32) + (32 * 9 * 64 + 64) + (64 * 9 * 128 + 128)
    assert count(convnet()) == convolutions + (128 * 10 + 10) == 94_538
    assert count(convnet(norm=BATCH)) == 94_538 + 2 * (32 + 64 + 128)


@pytest.mark.parametrize("num_stages", [1, 2, 3, 4])
@pytest.mark.parametrize("extra", range(6))
def test_layers_are_dealt_out_evenly_and_the_first_stages_get_one_more(num_stages, extra):
    depth = num_stages + extra
    model = convnet((1, 8, 8), depth=depth, width=2, num_stages=num_stages)
    found = [[module for module in stage.modules() if isinstance(module, nn.Conv2d)] for stage in model.stages]
    assert [len(stage) for stage in found] == [len(part) for part in np.array_split(np.arange(depth), num_stages)]
    for index, stage in enumerate(found):
        assert {convolution.out_channels for convolution in stage} == {2 * 2**index}


@pytest.mark.parametrize("input_shape", SHAPES)
@pytest.mark.parametrize("position", ["before", "after"])
def test_any_image_shape_gives_finite_logits_and_gradients(input_shape, position):
    torch.manual_seed(0)
    model = convnet(input_shape, 7, BATCH, width=4, norm_position=position)
    logits = model(torch.randn(4, *input_shape))
    logits.square().sum().backward()
    assert logits.shape == (4, 7)
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_each_pool_halves_the_sides_until_they_are_one():
    model = convnet((3, 5, 9), depth=4, width=2, num_stages=4)
    sides = []
    for stage in model.stages:
        stage.register_forward_hook(lambda _module, _inputs, output: sides.append(tuple(output.shape[2:])))
    model(torch.randn(1, 3, 5, 9))
    assert sides == [(2, 4), (1, 2), (1, 1), (1, 1)]


def test_it_computes_what_the_same_network_written_out_by_hand_computes():
    torch.manual_seed(0)
    model = convnet((3, 8, 12), depth=5, width=4, activation=nn.Tanh).double()
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    y = x
    for index, convolution in enumerate(convolutions):
        y = torch.tanh(F.conv2d(y, convolution.weight, convolution.bias, padding=1))
        if index in (1, 3, 4):  # the last layers of stages with 2, 2 and 1 layers
            y = F.max_pool2d(y, 2)
    assert y.shape == (2, 16, 1, 1)
    expected = y.mean((2, 3)) @ model.output.weight.T + model.output.bias
    torch.testing.assert_close(model(x), expected)


def test_channels_last_changes_nothing_but_the_order_of_summation():
    torch.manual_seed(0)
    model = convnet((3, 16, 16), norm=BATCH, width=4).double()
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    expected = model.eval()(x)
    found = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)


def test_dropout_zeroes_inputs_of_the_linear_layer_in_training_only():
    torch.manual_seed(0)
    model = convnet((1, 8, 8), activation=nn.Softplus, dropout=0.75)  # Softplus gives no zeros of its own
    seen = []
    model.output.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    x = torch.randn(100, 1, 8, 8)
    model(x)
    model.eval()(x)
    training, evaluation = ((inputs == 0).double().mean().item() for inputs in seen)
    assert training == pytest.approx(0.75, abs=0.02)  # 5 standard deviations of 12,800 draws
    assert evaluation == 0


def test_a_norm_in_front_takes_the_scale_of_the_inputs_away():
    torch.manual_seed(0)
    model = convnet((3, 8, 8), norm=norms.batch(eps=1e-12, momentum=0.1, affine=True, input=True), width=4).double()
    x = torch.randn(8, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(model(255 * x + 3), model(x))


def test_a_norm_of_weights_reaches_every_layer_and_a_norm_of_outputs_all_but_the_last():
    layers = [module for module in convnet(norm=norms.weight()).modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert [parametrize.is_parametrized(layer, "weight") for layer in layers] == [True] * 4
    running = [len(value) for name, value in convnet(norm=BATCH).named_buffers() if name.endswith("running_mean")]
    assert running == [32, 64, 128]


@pytest.mark.parametrize(("depth", "num_stages"), [(1, 1), (2, 2), (3, 3), (8, 3), (16, 4)])
@pytest.mark.parametrize("budget", [50_000, 200_000])
def test_a_budget_of_parameters_is_met_within_3_percent_at_every_depth(depth, num_stages, budget):
    model = convnet((1, 8, 8), depth=depth, num_stages=num_stages, width=None, parameters=budget)
    assert count(model) == pytest.approx(budget, rel=0.03)


def test_a_budget_that_a_width_meets_exactly_gives_that_width_under_any_norm():
    for norm in (NONE, BATCH):
        model = convnet(width=None, parameters=94_538, norm=norm)
        assert [stage[0].layer.out_channels for stage in model.stages] == [32, 64, 128]


def test_the_size_is_decided_once():
    with pytest.raises(ConfigError, match=r"^model.parameters=5000 decides the width: add model.width=null, or"):
        convnet(parameters=5000)
    with pytest.raises(ConfigError, match=r"^model.width=null with model.parameters=null: set one of the two$"):
        convnet(width=None)
    with pytest.raises(ConfigError, match=r"^model.parameters=9 is less than the 68 of the narrowest network of this"):
        convnet(width=None, parameters=9, depth=3)


def test_fewer_layers_than_stages_get_a_line_with_both_ways_out():
    with pytest.raises(ConfigError) as error:
        convnet(depth=2)
    assert str(error.value) == (
        "model.depth=2 is less than model.num_stages=3: each stage needs a layer; "
        "use model.depth=3 or model.num_stages=2"
    )


def test_rows_are_refused():
    with pytest.raises(ConfigError, match=r"^model=convnet needs images; .* 30 features: use model=mlp$"):
        convnet((30,))
