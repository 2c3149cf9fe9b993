"""The multilayer perceptron against the parameter table of the lectures and a network written out by hand."""

import pytest
import torch
import yaml
from torch import nn
from torch.nn.utils import parametrize

from bnexp.config.folder import config_dir
from bnexp.errors import ConfigError
from bnexp.models.mlp import MLP
from bnexp.nn import norms

NONE = norms.none()
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)


def mlp(input_shape, num_classes=2, norm=NONE, activation=nn.Tanh, **changes):
    values = {"depth": 2, "width": 16, "parameters": None, "hidden": None, "norm_position": "before"}
    values |= {"dropout": 0.0, "dropout_position": "after_norm"} | changes
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


def test_hidden_layers_of_any_sizes_make_the_lectures_table_of_4_72_300_and_26_parameters():
    model = mlp((1,), 2, hidden=[2, 24, 12])
    assert counts(model) == [4, 72, 300, 26]
    assert sum(parameter.numel() for parameter in model.parameters()) == 402


def test_no_hidden_layer_at_all_is_softmax_regression():
    model = mlp((1, 8, 8), 10, hidden=[])
    x = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(model(x), nn.functional.linear(x.flatten(1), model.output.weight, model.output.bias))


@pytest.mark.parametrize("norm", [NONE, BATCH])
def test_shallow_and_deep_networks_on_digits_have_equally_many_parameters_in_their_layers(norm):
    sizes = []
    for name in ("shallow", "deep"):
        values = yaml.safe_load((config_dir() / "model" / f"{name}.yaml").read_text(encoding="utf-8"))
        chosen = {key: values[key] for key in ("depth", "width", "parameters", "hidden")}
        sizes.append(counts(mlp((1, 8, 8), 10, norm=norm, **chosen)))
    assert [len(layers) for layers in sizes] == [2, 9]
    assert [sum(layers) for layers in sizes] == [pytest.approx(50_000, rel=0.005)] * 2


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("budget", [500, 20_000, 200_000])
def test_no_other_width_comes_nearer_to_a_budget(depth, budget):
    found = mlp((30,), depth=depth, width=None, parameters=budget)
    width = found.hidden[0].layer.out_features
    misses = [abs(sum(counts(mlp((30,), depth=depth, width=w))) - budget) for w in range(max(1, width - 2), width + 3)]
    assert abs(sum(counts(found)) - budget) == min(misses)


def test_the_size_is_decided_once():
    with pytest.raises(ConfigError, match=r"^model.hidden=\[4\] decides the sizes: take model.parameters=50 out$"):
        mlp((4,), hidden=[4], parameters=50)
    with pytest.raises(ConfigError, match=r"^model.parameters=5000 decides the width: add model.width=null, or"):
        mlp((4,), parameters=5000)
    with pytest.raises(ConfigError, match=r"^model.parameters=10 is less than the 11 of the narrowest network of this"):
        mlp((4,), width=None, parameters=10)


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


def test_dropout_before_the_output_alone_leaves_the_other_layers_inputs_whole():
    torch.manual_seed(0)
    model = mlp((4,), depth=3, width=1000, dropout=0.4, dropout_position="output")
    shares = []
    for layer in [module for module in model.modules() if isinstance(module, nn.Linear)]:
        layer.register_forward_pre_hook(lambda _module, inputs: shares.append((inputs[0] == 0).double().mean().item()))
    model(torch.randn(50, 4))
    assert shares == [0, 0, 0, pytest.approx(0.4, abs=0.011)]


def test_a_norm_in_front_takes_the_scale_of_the_features_away():
    torch.manual_seed(0)
    model = mlp((2,), norm=norms.batch(eps=1e-12, momentum=0.1, affine=True, input=True)).double()
    x = torch.randn(32, 2, dtype=torch.float64)
    torch.testing.assert_close(model(x * torch.tensor([65.0, 10_000.0]) + 7), model(x))


def test_a_norm_of_weights_reaches_every_layer():
    model = mlp((4,), norm=norms.weight(), depth=3)
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert [parametrize.is_parametrized(layer, "weight") for layer in layers] == [True] * 4
