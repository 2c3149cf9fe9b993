"""The residual network against the numbers of He et al. 2016 and blocks written out by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from bnexp.errors import ConfigError
from bnexp.models.layers import Recipe
from bnexp.models.resnet import ResidualBlock, ResNet, ZeroPadShortcut
from bnexp.nn import norms
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.structure_initializers import fixup_

NONE = norms.none()
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)


def resnet(input_shape=(3, 32, 32), num_classes=10, norm=BATCH, activation=nn.ReLU, **changes):
    values = {"depth": 20, "width": 16, "shortcut": True, "norm_position": "before"}
    values |= {"dropout": 0.0, "dropout_position": "output"} | changes
    return ResNet(input_shape, num_classes, activation, norm, **values)


def recipe(activation, norm, position="before", dropout=0.0, dropout_position="output"):
    return Recipe(activation, norm, position, dropout, dropout_position)


def count(modules):
    return sum(parameter.numel() for parameter in modules)


def conv_biases(model):
    return [module.bias for module in model.modules() if isinstance(module, nn.Conv2d)]


def test_resnet_20_has_the_269722_parameters_of_the_paper_and_688_biases():
    model = resnet()
    assert count(conv_biases(model)) == 7 * 16 + 6 * 32 + 6 * 64 == 688
    assert count(model.parameters()) == 269_722 + 688


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
@pytest.mark.parametrize("position", ["before", "after"])
def test_every_depth_has_the_parameters_of_table_6(depth, millions, position):
    with torch.device("meta"):
        model = resnet(depth=depth, norm_position=position)
    assert round((count(model.parameters()) - count(conv_biases(model))) / 1e6, 2) == millions
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth


def test_the_shortcut_equals_a_strided_convolution_with_an_identity_kernel():
    x = torch.randn(2, 3, 7, 5)
    identity = torch.eye(8, 3)[:, :, None, None]  # 3 channels kept, 5 new ones zero
    for stride in (1, 2):
        torch.testing.assert_close(ZeroPadShortcut(3, 8, stride)(x), F.conv2d(x, identity, stride=stride))


def test_a_shortcut_between_equal_shapes_is_the_identity():
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(ZeroPadShortcut(3, 3, 1)(x), x)


def batch_norm(x):
    return F.batch_norm(x, None, None, training=True, eps=1e-5)


@pytest.mark.parametrize("position", ["before", "after"])
def test_a_block_computes_what_figure_2_shows(position):
    torch.manual_seed(0)
    block = ResidualBlock(3, 6, 2, recipe(nn.Tanh, BATCH, position)).double()
    first, second = (module for module in block.modules() if isinstance(module, nn.Conv2d))
    x = torch.randn(4, 3, 7, 5, dtype=torch.float64)
    shortcut = F.conv2d(x, torch.eye(6, 3, dtype=torch.float64)[:, :, None, None], stride=2)
    if position == "before":
        expected = torch.tanh(shortcut + batch_norm(second(torch.tanh(batch_norm(first(x))))))
    else:
        expected = batch_norm(torch.tanh(shortcut + second(batch_norm(torch.tanh(first(x))))))
    torch.testing.assert_close(block(x), expected)


def test_a_block_whose_residual_is_zero_passes_its_input_on():
    block = ResidualBlock(3, 3, 1, recipe(nn.ReLU, NONE))
    nn.init.zeros_(block.residual[1].weight)
    nn.init.zeros_(block.residual[1].bias)
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("dropout_position", ["before_norm", "after_norm"])
def test_a_block_drops_values_before_each_norm_or_at_the_end_of_each_layer(position, dropout_position):
    torch.manual_seed(0)
    block = ResidualBlock(3, 3, 1, recipe(nn.Tanh, BATCH, position, 0.5, dropout_position)).double()
    x, one, two = torch.randn(3, 4, 3, 5, 5, dtype=torch.float64)
    drops = iter([one, two])
    for module in block.modules():
        if isinstance(module, nn.Dropout):
            module.forward = lambda x: x * next(drops)
    first, second = (module for module in block.modules() if isinstance(module, nn.Conv2d))
    norm = batch_norm
    expected = {
        ("before", "before_norm"): lambda: (x + norm(two * second(norm(one * first(x)).tanh()))).tanh(),
        ("before", "after_norm"): lambda: two * (x + norm(second(one * norm(first(x)).tanh()))).tanh(),
        ("after", "before_norm"): lambda: norm(two * (x + second(norm(one * first(x).tanh()))).tanh()),
        ("after", "after_norm"): lambda: two * norm((x + second(one * norm(first(x).tanh()))).tanh()),
    }
    torch.testing.assert_close(block(x), expected[position, dropout_position]())


def test_the_plain_network_has_the_same_layers_in_the_same_order_and_no_sums():
    torch.manual_seed(0)
    plain = resnet((3, 8, 8), depth=14, width=4, shortcut=False, activation=nn.Tanh).double()
    residual = resnet((3, 8, 8), depth=14, width=4)
    shapes = [[value.shape for value in model.state_dict().values()] for model in (plain, residual)]
    assert shapes[0] == shapes[1]
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    *convolutions, output = (module for module in plain.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    y = x
    for convolution in convolutions:
        y = torch.tanh(batch_norm(convolution(y)))
    torch.testing.assert_close(plain(x), output(y.mean((2, 3))))


def test_the_plain_network_of_20_layers_has_as_many_parameters_as_the_residual_one():
    assert count(resnet(shortcut=False).parameters()) == 269_722 + 688


def test_fixup_finds_no_branches_in_the_plain_network():
    context = Context(nn.ReLU(), torch.Generator())
    with pytest.raises(ConfigError, match="this model has none"):
        initialize_(resnet(norm=NONE, depth=8, shortcut=False), fixup_, context)


def test_stages_halve_the_sides_and_double_the_channels_as_in_the_paper():
    shapes = []
    model = resnet(depth=14)
    for block in model.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert shapes == [(16, 32, 32)] * 2 + [(32, 16, 16)] * 2 + [(64, 8, 8)] * 2


@pytest.mark.parametrize("input_shape", [(1, 1, 1), (3, 5, 7), (1, 28, 28), (3, 96, 64)])
@pytest.mark.parametrize("position", ["before", "after"])
def test_any_image_shape_gives_finite_logits_and_gradients(input_shape, position):
    torch.manual_seed(0)
    model = resnet(input_shape, 7, depth=8, width=4, norm_position=position)
    logits = model(torch.randn(4, *input_shape))
    logits.square().sum().backward()
    assert logits.shape == (4, 7)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_norm_of_weights_reaches_every_layer():
    layers = [module for module in resnet(norm=norms.weight()).modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert [parametrize.is_parametrized(layer, "weight") for layer in layers] == [True] * 20


def test_a_norm_in_front_takes_the_scale_of_the_inputs_away():
    torch.manual_seed(0)
    front = norms.batch(eps=1e-12, momentum=0.1, affine=True, input=True)
    model = resnet((3, 8, 8), norm=front, depth=8, width=4).double()
    x = torch.randn(8, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(model(255 * x + 3), model(x))


def test_dropout_zeroes_inputs_of_the_linear_layer_in_training_only():
    torch.manual_seed(0)
    model = resnet((1, 8, 8), norm=NONE, activation=nn.Softplus, depth=8, dropout=0.75)
    seen = []
    model.output.register_forward_pre_hook(lambda _module, inputs: seen.append((inputs[0] == 0).double().mean().item()))
    x = torch.randn(200, 1, 8, 8)
    model(x)
    model.eval()(x)
    assert seen == [pytest.approx(0.75, abs=0.02), 0]  # 5 standard deviations of 12,800 draws


@pytest.mark.parametrize("depth", [1, 2, 3, 18, 19, 21, 51])
def test_a_depth_that_is_not_6n_plus_2_gets_a_line_with_those_that_are(depth):
    with pytest.raises(ConfigError) as error:
        resnet(depth=depth)
    assert str(error.value) == f"model.depth={depth} is not 6n + 2 with n ≥ 1: use 8, 14, 20, 32, 44, 56 or 110"


def test_rows_are_refused():
    with pytest.raises(ConfigError, match=r"^model=resnet needs images; .* 30 features: use model=mlp$"):
        resnet((30,))
