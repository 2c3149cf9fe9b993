import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.initializers import (
    default_,
    delta_orthogonal_,
    he_normal_,
    he_uniform_,
    identity_,
    lecun_normal_,
    lecun_uniform_,
    orthogonal_,
    xavier_normal_,
    xavier_uniform_,
)

HE = partial(he_normal_, negative_slope=None)
XAVIER = partial(xavier_normal_, gain=1.0)


def context(activation=None, seed=0):
    return Context(activation=activation or nn.ReLU(), generator=torch.Generator().manual_seed(seed))


def weight_of(init, *shape, activation=None):
    weight = torch.empty(shape)
    init(weight, context(activation))
    return weight


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(7, 5),
        lambda: nn.Conv1d(4, 6, 5, bias=False),
        lambda: nn.Conv2d(4, 8, 3, groups=2),
        lambda: nn.Conv3d(2, 3, 2),
    ],
)
def test_default_is_bit_equal_to_reset_parameters_under_the_same_stream(make):
    model = nn.Sequential(make(), nn.ReLU(), make())
    initialize_(model, default_, context(seed=5))
    found = [parameter.clone() for parameter in model.parameters()]
    torch.manual_seed(5)
    for layer in (model[0], model[2]):
        layer.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(found, model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("init", "reference"),
    [
        (partial(xavier_normal_, gain=1.5), partial(nn.init.xavier_normal_, gain=1.5)),
        (partial(xavier_uniform_, gain=1.5), partial(nn.init.xavier_uniform_, gain=1.5)),
        (HE, partial(nn.init.kaiming_normal_, nonlinearity="relu")),
        (partial(he_uniform_, negative_slope=0.3), partial(nn.init.kaiming_uniform_, a=0.3)),
        (partial(orthogonal_, gain=2.0), partial(nn.init.orthogonal_, gain=2.0)),
    ],
)
def test_named_initializers_are_torch_nn_init_with_the_contexts_generator(init, reference):
    expected = reference(torch.empty(6, 4, 3, 3), generator=torch.Generator().manual_seed(0))
    assert torch.equal(weight_of(init, 6, 4, 3, 3), expected)


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        (XAVIER, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (partial(xavier_uniform_, gain=1.0), lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (HE, lambda fan_in, fan_out: 2 / fan_in),
        (partial(he_uniform_, negative_slope=None), lambda fan_in, fan_out: 2 / fan_in),
        (partial(he_normal_, negative_slope=1.0), lambda fan_in, fan_out: 1 / fan_in),
        (lecun_normal_, lambda fan_in, fan_out: 1 / fan_in),
        (lecun_uniform_, lambda fan_in, fan_out: 1 / fan_in),
    ],
)
@pytest.mark.parametrize("shape", [(500, 800), (160, 240, 3, 3)])
def test_variances_are_the_papers(init, variance, shape):
    receptive_field = math.prod(shape[2:])
    expected = variance(shape[1] * receptive_field, shape[0] * receptive_field)
    weight = weight_of(init, *shape)
    assert weight.var() == pytest.approx(expected, rel=0.01)
    assert weight.mean() == pytest.approx(0, abs=5 * (expected / weight.numel()) ** 0.5)


@pytest.mark.parametrize(
    ("init", "bound"),
    [
        (partial(xavier_uniform_, gain=1.0), math.sqrt(6 / (300 + 200))),
        (partial(he_uniform_, negative_slope=None), math.sqrt(6 / 300)),
        (lecun_uniform_, math.sqrt(3 / 300)),
    ],
)
def test_uniform_bounds_are_the_papers(init, bound):
    largest = weight_of(init, 200, 300).abs().max()
    assert bound * 0.999 < largest <= bound * (1 + 1e-6)


def test_he_takes_the_slope_of_leaky_relu_and_of_nothing_else():
    relu = weight_of(HE, 4, 4)
    leaky = weight_of(HE, 4, 4, activation=nn.LeakyReLU(0.5))
    torch.testing.assert_close(leaky * math.sqrt(1.25), relu)
    for other in (nn.Tanh(), nn.GELU(), nn.ELU()):
        assert torch.equal(weight_of(HE, 4, 4, activation=other), relu)


def test_an_explicit_slope_overrides_that_of_the_activation():
    init = partial(he_normal_, negative_slope=0.0)
    assert torch.equal(weight_of(init, 4, 4, activation=nn.LeakyReLU(0.5)), weight_of(HE, 4, 4))


def log_variance_ratios(init, activation, seed, depth=30, width=256):
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width, bias=False), activation())]
    model = nn.Sequential(*layers)
    initialize_(model, init, context(activation(), seed))
    x = torch.randn(256, width, generator=torch.Generator().manual_seed(1000 + seed))
    variances = []
    for module in model:
        x = module(x)
        if isinstance(module, nn.Linear):
            variances.append(x.detach().var())
    log_variances = torch.stack(variances).log()
    return (log_variances[1:] - log_variances[:-1]).mean()


@pytest.mark.parametrize(
    ("init", "activation", "gain", "tolerance"),
    [
        (HE, nn.ReLU, 1.0, 0.1),
        (XAVIER, nn.ReLU, 0.5, 0.05),
        (default_, nn.ReLU, 1 / 6, 0.02),
        (HE, partial(nn.LeakyReLU, 0.3), 1.0, 0.1),
        (partial(orthogonal_, gain=None), nn.ReLU, 1.0, 0.1),
    ],
)
def test_variance_gain_per_layer_at_depth_30(init, activation, gain, tolerance):
    ratios = [log_variance_ratios(init, activation, seed) for seed in range(6)]
    assert float(torch.stack(ratios).mean().exp()) == pytest.approx(gain, abs=tolerance)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 24), columns=st.integers(1, 24), gain=st.floats(0.1, 3))
def test_orthogonal_matrices_have_equal_singular_values(rows, columns, gain):
    singular = torch.linalg.svdvals(weight_of(partial(orthogonal_, gain=gain), rows, columns))
    torch.testing.assert_close(singular, torch.full_like(singular, gain), rtol=1e-4, atol=0)


def test_a_gain_of_none_is_the_activations():
    found = weight_of(partial(orthogonal_, gain=None), 4, 4, activation=nn.Tanh())
    torch.testing.assert_close(found, weight_of(partial(orthogonal_, gain=5 / 3), 4, 4))


@settings(max_examples=20, deadline=None)
@given(
    inputs=st.integers(1, 6),
    more=st.integers(0, 4),
    kernel=st.sampled_from([1, 3, 5]),
    dimensions=st.sampled_from([1, 2, 3]),
)
def test_a_delta_orthogonal_convolution_keeps_the_length_of_every_pixel(inputs, more, kernel, dimensions):
    weight = weight_of(partial(delta_orthogonal_, gain=1.0), inputs + more, inputs, *[kernel] * dimensions)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[dimensions - 1]
    x = torch.randn(2, inputs, *[6] * dimensions)
    torch.testing.assert_close(convolve(x, weight, padding="same").norm(dim=1), x.norm(dim=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7)])
def test_identity_of_a_matrix_is_ones_on_the_diagonal(shape):
    assert torch.equal(weight_of(identity_, *shape), torch.eye(*shape))


def test_identity_of_a_kernel_hands_the_image_on():
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(F.conv2d(x, weight_of(identity_, 4, 4, 3, 3), padding=1), x)
