"""The residual network against the numbers of He et al. 2016 and blocks written out by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnexp.errors import ConfigError
from bnexp.models.resnet import ResidualBlock, ResNet, ZeroPadShortcut
from bnexp.nn import norms

NONE = norms.none()
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)


def resnet(input_shape=(3, 32, 32), num_classes=10, norm=BATCH, activation=nn.ReLU, **changes):
    values = {"depth": 20, "width": 16, "dropout": 0.0, "norm_position": "before"} | changes
    return ResNet(input_shape, num_classes, activation, norm, **values)


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
    block = ResidualBlock(3, 6, 2, nn.Tanh, BATCH, position).double()
    first, second = (module for module in block.modules() if isinstance(module, nn.Conv2d))
    x = torch.randn(4, 3, 7, 5, dtype=torch.float64)
    shortcut = F.conv2d(x, torch.eye(6, 3, dtype=torch.float64)[:, :, None, None], stride=2)
    if position == "before":
        expected = torch.tanh(shortcut + batch_norm(second(torch.tanh(batch_norm(first(x))))))
    else:
        expected = batch_norm(torch.tanh(shortcut + second(batch_norm(torch.tanh(first(x))))))
    torch.testing.assert_close(block(x), expected)


def test_a_block_whose_residual_is_zero_passes_its_input_on():
    block = ResidualBlock(3, 3, 1, nn.ReLU, NONE, "before")
    nn.init.zeros_(block.residual[1].weight)
    nn.init.zeros_(block.residual[1].bias)
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(block(x), x)


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
