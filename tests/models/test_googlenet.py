"""GoogLeNet against table 1 of Szegedy et al. 2015, torchvision's network and a module written out by hand."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from bnexp.errors import ConfigError
from bnexp.models.googlenet import GoogLeNet, Inception
from bnexp.models.layers import Recipe
from bnexp.nn import norms

NONE = norms.none()
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)
MODULES = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]


def googlenet(input_shape=(3, 32, 32), num_classes=10, norm=NONE, **changes):
    values = {"width": 48, "dropout": 0.0, "dropout_position": "output", "norm_position": "before"} | changes
    return GoogLeNet(input_shape, num_classes, nn.ReLU, norm, **values)


def inceptions(model):
    return [module for module in model.modules() if isinstance(module, Inception)]


def convolutions(module):
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def test_at_width_192_every_module_has_torchvisions_convolutions_with_5x5_where_the_paper_has_5x5():
    with torch.device("meta"):
        ours = inceptions(googlenet(width=192))
        theirs = torchvision.models.googlenet(init_weights=False)
    assert len(ours) == len(MODULES)
    for name, module in zip(MODULES, ours, strict=True):
        shapes = [tuple(conv.weight.shape) for conv in convolutions(getattr(theirs, f"inception{name}"))]
        shapes[4] = (*shapes[4][:2], 5, 5)  # torchvision has 3×3 there, its known difference from the paper
        assert [tuple(conv.weight.shape) for conv in convolutions(module)] == shapes


def test_the_outputs_of_the_modules_have_the_papers_depths_and_half_the_sides_after_each_pool():
    with torch.device("meta"):
        model = googlenet(width=192)
        shapes = []
        for module in inceptions(model):
            module.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
        model(torch.empty(1, 3, 32, 32))
    depths = [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    sides = [32] * 2 + [16] * 5 + [8] * 2
    assert shapes == [(depth, side, side) for depth, side in zip(depths, sides, strict=True)]


@pytest.mark.parametrize("position", ["before", "after"])
def test_a_module_computes_its_four_branches_side_by_side(position):
    torch.manual_seed(0)
    module = Inception(3, [2, 3, 4, 5, 6, 7], Recipe(nn.Tanh, BATCH, position, 0.0, "output")).double()
    ones, reduce3, threes, reduce5, fives, pooled = convolutions(module)
    x = torch.randn(4, 3, 6, 5, dtype=torch.float64)

    def hidden(conv, inputs):
        outputs = F.conv2d(inputs, conv.weight, conv.bias, padding=conv.weight.shape[2] // 2)
        norm = lambda y: F.batch_norm(y, None, None, training=True, eps=1e-5)  # noqa: E731
        return norm(outputs).tanh() if position == "before" else norm(outputs.tanh())

    expected = [
        hidden(ones, x),
        hidden(threes, hidden(reduce3, x)),
        hidden(fives, hidden(reduce5, x)),
        hidden(pooled, F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, stride=1)),
    ]
    assert [branch.shape[1] for branch in expected] == [2, 4, 6, 7]
    torch.testing.assert_close(module(x), torch.cat(expected, dim=1))


@pytest.mark.parametrize("width", [8, 24, 48, 100, 192])
def test_every_number_of_channels_can_be_divided_by_8_groups(width):
    with torch.device("meta"):
        model = googlenet(width=width)
    assert all(conv.out_channels % 8 == 0 for module in inceptions(model) for conv in convolutions(module))


@pytest.mark.parametrize("width", [1, 48, 100, 192])
def test_channels_grow_with_the_width_and_are_less_than_8_above_the_proportion(width):
    with torch.device("meta"):
        models = [inceptions(googlenet(width=width)), inceptions(googlenet(width=192))]
    for module, paper in zip(*models, strict=True):
        for conv, whole in zip(convolutions(module), convolutions(paper), strict=True):
            assert 0 <= conv.out_channels - whole.out_channels * width / 192 < 8


def test_every_convolution_has_a_norm():
    with torch.device("meta"):
        model = googlenet(norm=BATCH)
    running = [len(value) for name, value in model.named_buffers() if name.endswith("running_mean")]
    assert running == [conv.out_channels for conv in convolutions(model)]
    assert len(running) == 1 + 9 * 6


@pytest.mark.parametrize("input_shape", [(1, 1, 1), (3, 1, 9), (1, 8, 8), (3, 33, 20)])
@pytest.mark.parametrize("position", ["before", "after"])
def test_any_image_shape_gives_finite_logits_and_gradients(input_shape, position):
    torch.manual_seed(0)
    model = googlenet(input_shape, 7, BATCH, width=8, norm_position=position)
    logits = model(torch.randn(4, *input_shape))
    logits.square().sum().backward()
    assert logits.shape == (4, 7)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_rows_are_refused():
    with pytest.raises(ConfigError, match=r"^model=googlenet needs images; .* 30 features: use model=mlp$"):
        googlenet((30,))
