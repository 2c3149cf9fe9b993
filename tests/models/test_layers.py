"""The hidden layer's order of parts, and the small pieces that all architectures share."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnexp.errors import ConfigError
from bnexp.models.layers import GlobalMean, Hidden, Recipe, conv3x3, image_shape, input_norm
from bnexp.nn import norms
from bnexp.nn.norm import Norm

BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)


def hidden(layer, activation, norm, position="before", dropout=0.0, dropout_position="output"):
    return Hidden(layer, Recipe(activation, norm, position, dropout, dropout_position))


def batch_norm(x):
    """The textbook formula, over everything but the channels."""
    dims = [dim for dim in range(x.dim()) if dim != 1]
    mean = x.mean(dims, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(dims, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize("dense", [True, False])
def test_the_norm_stands_before_or_after_the_activation(dense):
    torch.manual_seed(0)
    layer = nn.Linear(6, 4).double() if dense else conv3x3(3, 4).double()
    x = torch.randn(8, 6, dtype=torch.float64) if dense else torch.randn(8, 3, 5, 5, dtype=torch.float64)
    before, after = (hidden(layer, nn.Tanh, BATCH, position).double() for position in ("before", "after"))
    torch.testing.assert_close(before(x), torch.tanh(batch_norm(layer(x))))
    torch.testing.assert_close(after(x), batch_norm(torch.tanh(layer(x))))


def test_the_norm_learns_how_many_outputs_the_layer_has_and_whether_they_are_images():
    asked = []

    def features(num_features, spatial):
        asked.append((num_features, spatial))
        return nn.Identity()

    for layer in (nn.Linear(2, 7), conv3x3(2, 5)):
        hidden(layer, nn.ReLU, Norm(features=features))
    assert asked == [(7, False), (5, True)]


def test_a_norm_of_weights_gets_the_layer():
    layer = hidden(nn.Linear(3, 4), nn.Identity, norms.weight()).layer
    with torch.no_grad():
        layer.weight = torch.full((4, 3), 2.0)
        layer.parametrizations.weight.original0.fill_(5)  # the length of each row, now 5
    torch.testing.assert_close(layer.weight.norm(dim=1), torch.full((4,), 5.0))


def test_the_layer_keeps_its_bias_under_a_norm_that_takes_it_away():
    assert hidden(conv3x3(3, 4), nn.ReLU, BATCH).layer.bias is not None


class Record(nn.Module):
    """An activation and a norm that note when they are called."""

    def __init__(self, name, calls):
        super().__init__()
        self.name, self.calls = name, calls

    def forward(self, x):
        self.calls.append((self.name, bool((x == 0).any())))
        return x


@pytest.mark.parametrize(
    ("dropout_position", "position", "expected"),
    [
        # whether a part sees dropped values, and whether the layer's output has some
        ("output", "before", [("norm", False), ("activation", False), ("end", False)]),
        ("before_norm", "before", [("norm", True), ("activation", True), ("end", True)]),
        ("after_norm", "before", [("norm", False), ("activation", False), ("end", True)]),
        ("output", "after", [("activation", False), ("norm", False), ("end", False)]),
        ("before_norm", "after", [("activation", False), ("norm", True), ("end", True)]),
        ("after_norm", "after", [("activation", False), ("norm", False), ("end", True)]),
    ],
)
def test_dropout_stands_directly_before_the_norm_or_at_the_end(dropout_position, position, expected):
    torch.manual_seed(0)
    calls = []
    norm = Norm(features=lambda _num_features, _spatial: Record("norm", calls))
    module = hidden(nn.Linear(3, 50), lambda: Record("activation", calls), norm, position, 0.5, dropout_position)
    Record("end", calls)(module(torch.randn(20, 3)))
    assert calls == expected


@pytest.mark.parametrize("position", ["output", "before_norm", "after_norm"])
def test_dropout_before_the_output_layer_is_for_the_position_of_that_name_alone(position):
    module = Recipe(nn.ReLU, norms.none(), "before", 0.5, position).before_output()
    assert bool((module(torch.ones(100)) == 0).any()) == (position == "output")


@pytest.mark.parametrize(("height", "width", "stride"), [(8, 8, 1), (8, 8, 2), (5, 7, 2), (1, 1, 2)])
def test_conv3x3_is_a_correlation_over_zero_padded_images(height, width, stride):
    conv = conv3x3(2, 3, stride).double()
    x = torch.randn(2, 2, height, width, dtype=torch.float64)
    columns = F.unfold(x, kernel_size=3, padding=1, stride=stride)  # (N, 2 · 9, positions)
    expected = conv.weight.flatten(1) @ columns + conv.bias[:, None]
    torch.testing.assert_close(conv(x).flatten(2), expected)
    assert conv(x).shape[2:] == (-(-height // stride), -(-width // stride))


def test_a_norm_stands_in_front_of_the_network_where_it_asks_for_it():
    assert isinstance(input_norm(BATCH, 3, spatial=True), nn.Identity)
    front = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=True)
    x = torch.rand(16, 3, 4, 4) * 255
    torch.testing.assert_close(input_norm(front, 3, spatial=True)(x), batch_norm(x))
    rows = torch.rand(16, 3) * torch.tensor([65.0, 10_000.0, 1.0])
    torch.testing.assert_close(input_norm(front, 3, spatial=False)(rows), batch_norm(rows))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_global_mean_equals_adaptive_average_pooling_to_one_position(memory_format):
    x = torch.randn(2, 3, 5, 7).to(memory_format=memory_format)
    torch.testing.assert_close(GlobalMean()(x), F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_rows_get_a_line_that_names_the_model_for_them():
    assert image_shape((3, 5, 7), "convnet") == (3, 5, 7)
    with pytest.raises(ConfigError) as error:
        image_shape((30,), "convnet")
    assert str(error.value) == ("model=convnet needs images; this dataset has rows of 30 features: use model=mlp")
