"""The multilayer perceptron against the parameter table of the lectures and a network written out by hand."""

import pytest
import torch
from torch import nn

from bnexp.models.mlp import MLP
from bnexp.nn import norms

NONE = norms.none()
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)


def mlp(input_shape, num_classes=2, norm=NONE, activation=nn.Tanh, **changes):
    values = {"depth": 2, "width": 16, "dropout": 0.0, "norm_position": "before"} | changes
    return MLP(input_shape, num_classes, activation, norm, **values)


def counts(model):
    """Trainable parameters of each linear layer."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]


@pytest.mark.parametrize(("num_inputs", "width", "expected"), [(1, 2, 4), (2, 24, 72), (24, 12, 300)])
def test_each_layer_of_the_lectures_1_2_24_12_2_network_has_the_parameters_of_its_table(num_inputs, width, expected):
    hidden, output = counts(mlp((num_inputs,), depth=1, width=width))
    assert hidden == expected
    assert output == {2: 6, 24: 50, 12: 26}[width]  # 26 is the table's last line


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_parameters_follow_the_closed_form_layer_by_layer(depth):
    model = mlp((3, 4, 5), num_classes=7, depth=depth, width=11)
    assert counts(model) == [60 * 11 + 11, *[11 * 11 + 11] * (depth - 1), 11 * 7 + 7]


def test_batch_norm_adds_a_weight_and_a_bias_per_hidden_unit():
    plain, normalized = (mlp((4,), norm=norm, depth=3, width=5) for norm in (NONE, BATCH))
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (plain, normalized)]
    assert sizes[1] - sizes[0] == 3 * 2 * 5


@pytest.mark.parametrize("input_shape", [(1,), (30,), (1, 1, 1), (3, 5, 7), (1, 28, 28)])
@pytest.mark.parametrize("position", ["before", "after"])
def test_any_input_shape_gives_finite_logits_and_gradients(input_shape, position):
    torch.manual_seed(0)
    model = mlp(input_shape, 4, BATCH, norm_position=position)
    logits = model(torch.randn(8, *input_shape))
    logits.square().sum().backward()
    assert logits.shape == (8, 4)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_it_computes_what_matrix_products_compute_on_images_flattened_row_by_row(memory_format):
    torch.manual_seed(0)
    model = mlp((3, 4, 5), depth=2, width=6).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    first, second, last = (module for module in model.modules() if isinstance(module, nn.Linear))
    y = torch.tanh(x.reshape(2, 60) @ first.weight.T + first.bias)
    y = torch.tanh(y @ second.weight.T + second.bias)
    found = model(x.to(memory_format=memory_format))
    torch.testing.assert_close(found, y @ last.weight.T + last.bias)


def test_dropout_follows_every_hidden_layer_in_training_only():
    torch.manual_seed(0)
    model = mlp((4,), depth=3, width=1000, dropout=0.4)
    shares = []
    for layer in [module for module in model.modules() if isinstance(module, nn.Linear)]:
        layer.register_forward_pre_hook(lambda _module, inputs: shares.append((inputs[0] == 0).double().mean().item()))
    x = torch.randn(50, 4)
    model(x)
    assert shares == [0, *[pytest.approx(0.4, abs=0.011)] * 3]  # 5 standard deviations of 50,000 draws
    shares.clear()
    model.eval()(x)
    assert shares == [0, 0, 0, 0]


def test_a_norm_in_front_takes_the_scale_of_the_features_away():
    torch.manual_seed(0)
    model = mlp((2,), norm=norms.batch(eps=1e-12, momentum=0.1, affine=True, input=True)).double()
    x = torch.randn(32, 2, dtype=torch.float64)
    torch.testing.assert_close(model(x * torch.tensor([65.0, 10_000.0]) + 7), model(x))
