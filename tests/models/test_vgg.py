"""VGG against table 1 of Simonyan & Zisserman 2015 and torchvision's networks."""

import pytest
import torch
import torchvision
from torch import nn

from bnexp.errors import ConfigError
from bnexp.models.vgg import VGG
from bnexp.nn import norms

NONE = norms.none()
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)


def vgg(input_shape=(3, 32, 32), num_classes=10, norm=NONE, activation=nn.ReLU, **changes):
    values = {"depth": 11, "width": 64, "norm_position": "before"}
    values |= {"dropout": 0.0, "dropout_position": "output"} | changes
    return VGG(input_shape, num_classes, activation, norm, **values)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
@pytest.mark.parametrize("norm", ["", "_bn"])
def test_the_trunk_has_torchvisions_tensors_in_torchvisions_order(depth, norm):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"vgg{depth}{norm}")().features
        ours = vgg(depth=depth, norm=BATCH if norm else NONE).stages
    shapes = [
        [(name.rpartition(".")[2], tuple(value.shape)) for name, value in trunk.state_dict().items()]
        for trunk in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("depth", "convolutions"), [(11, 9_220_480), (13, 9_404_992), (16, 14_714_688)])
def test_parameters_are_those_of_the_published_trunk_and_one_linear_layer(depth, convolutions):
    with torch.device("meta"):
        assert count(vgg(depth=depth)) == convolutions + 512 * 10 + 10


def test_vgg_11_has_the_parameters_of_the_closed_form_at_any_width():
    w, classes = 8, 7
    chain = [(1, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w), (4 * w, 8 * w), *[(8 * w, 8 * w)] * 3]
    assert count(vgg((1, 8, 8), classes, width=w)) == sum(9 * a * b + b for a, b in chain) + 8 * w * classes + classes


def test_with_torchvisions_weights_the_trunk_computes_what_torchvisions_computes():
    torch.manual_seed(0)
    theirs = torchvision.models.vgg._vgg("A", True, None, False, init_weights=False).features.eval()
    ours = vgg(norm=BATCH).eval()
    ours.stages.load_state_dict(dict(zip(ours.stages.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.stages(x), theirs(x))


@pytest.mark.parametrize("input_shape", [(1, 1, 1), (3, 1, 9), (1, 8, 8), (1, 28, 28), (3, 96, 64)])
@pytest.mark.parametrize("position", ["before", "after"])
def test_any_image_shape_gives_finite_logits_and_gradients(input_shape, position):
    torch.manual_seed(0)
    model = vgg(input_shape, 7, BATCH, width=2, norm_position=position)
    logits = model(torch.randn(4, *input_shape))
    logits.square().sum().backward()
    assert logits.shape == (4, 7)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_each_pool_halves_the_sides_until_they_are_one():
    model = vgg((1, 28, 9), width=2)
    sides = []
    for stage in model.stages:
        stage.register_forward_hook(lambda _module, _inputs, output: sides.append(tuple(output.shape[2:])))
    model(torch.randn(1, 1, 28, 9))
    assert sides == [(14, 4), (7, 2), (3, 1), (1, 1), (1, 1)]


@pytest.mark.parametrize("depth", [1, 12, 20])
def test_another_depth_gets_a_line_with_those_that_there_are(depth):
    with pytest.raises(ConfigError) as error:
        vgg(depth=depth)
    assert str(error.value) == f"model.depth={depth} is no VGG network: use 11, 13, 16 or 19, or model=convnet"


def test_rows_are_refused():
    with pytest.raises(ConfigError, match=r"^model=vgg needs images; .* 30 features: use model=mlp$"):
        vgg((30,))
