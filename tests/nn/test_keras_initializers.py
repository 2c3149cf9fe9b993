import math
from functools import partial

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from bnexp.errors import ConfigError
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.keras_initializers import (
    constant_,
    glorot_normal_,
    glorot_uniform_,
    keras_he_normal_,
    keras_lecun_normal_,
    ones_,
    random_normal_,
    random_uniform_,
    truncated_normal_,
    variance_scaling_,
    zeros_,
)

# Shape → (fan_in, fan_out). Two million weights put the sampling error of a standard deviation at 0.05 %.
FANS = {
    (1000, 2000): (2000, 1000),
    (400, 600, 3, 3): (600 * 9, 400 * 9),
    (222_222, 1, 3, 3): (9, 222_222 * 9),
}


def weight_of(init, *shape):
    weight = torch.empty(shape)
    init(weight, Context(activation=nn.ReLU(), generator=torch.Generator().manual_seed(0)))
    return weight


def truncated(std):
    return stats.truncnorm(-2, 2, scale=std)


def keras_truncated(variance):
    """What Keras documents: a normal cut at two standard deviations whose standard deviation after the cut is right."""
    return truncated(math.sqrt(variance) / stats.truncnorm(-2, 2).std())


def uniform(variance):
    bound = math.sqrt(3 * variance)
    return stats.uniform(-bound, 2 * bound)


def scaling(mode, distribution, scale=1.3):
    return partial(variance_scaling_, scale=scale, mode=mode, distribution=distribution)


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        (partial(random_normal_, mean=0.02, std=0.05), lambda i, o: stats.norm(0.02, 0.05)),
        (partial(random_uniform_, low=-0.05, high=0.1), lambda i, o: stats.uniform(-0.05, 0.15)),
        (partial(truncated_normal_, mean=0.0, std=0.05), lambda i, o: truncated(0.05)),
        (glorot_normal_, lambda i, o: keras_truncated(2 / (i + o))),
        (glorot_uniform_, lambda i, o: uniform(2 / (i + o))),
        (keras_he_normal_, lambda i, o: keras_truncated(2 / i)),
        (keras_lecun_normal_, lambda i, o: keras_truncated(1 / i)),
        (scaling("fan_in", "truncated_normal"), lambda i, o: keras_truncated(1.3 / i)),
        (scaling("fan_out", "uniform"), lambda i, o: uniform(1.3 / o)),
        (scaling("fan_avg", "untruncated_normal"), lambda i, o: stats.norm(0, math.sqrt(2.6 / (i + o)))),
    ],
)
@pytest.mark.parametrize("shape", FANS, ids=["dense", "convolution", "depthwise"])
def test_moments_bounds_and_shape_are_those_of_kerass_distribution(init, expected, shape):
    distribution = expected(*FANS[shape])
    values = weight_of(init, *shape).flatten().double()
    assert float(values.std()) == pytest.approx(distribution.std(), rel=2e-3)
    assert float(values.mean()) == pytest.approx(distribution.mean(), abs=4 * distribution.std() / len(values) ** 0.5)
    low, high = distribution.support()
    assert low - 1e-7 <= values.min()
    assert values.max() <= high + 1e-7
    assert stats.kstest(values[:20_000].numpy(), distribution.cdf).pvalue > 1e-3


def test_the_truncated_normal_of_keras_has_a_real_standard_deviation_of_0_044():
    assert weight_of(partial(truncated_normal_, mean=0.0, std=0.05), 1000, 1000).std() == pytest.approx(
        0.0440, abs=1e-4
    )


def test_a_fan_below_one_counts_as_one():
    weight = weight_of(scaling("fan_in", "untruncated_normal", scale=4.0), 1_000_000, 1)
    assert weight.std() == pytest.approx(2, rel=5e-3)


def test_zeros_ones_and_constants_are_what_they_say():
    assert (weight_of(zeros_, 2, 3) == 0).all()
    assert (weight_of(ones_, 2, 3) == 1).all()
    assert (weight_of(partial(constant_, value=-2.5), 2, 3) == -2.5).all()


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(ConfigError, match=r"init\.low=0\.2 must be less than init\.high=0\.1; use init\.low=0"):
        weight_of(partial(random_uniform_, low=0.2, high=0.1), 2, 2)


def train(init, activation, steps=30):
    """Fit 200 points of 10 equally frequent classes by full-batch gradient descent; return the model and the losses."""
    stream = torch.Generator().manual_seed(1)
    inputs, labels = torch.randn(200, 20, generator=stream), torch.arange(200) % 10
    layers = [nn.Linear(20, 32), activation(), nn.Linear(32, 32), activation(), nn.Linear(32, 10)]
    model = nn.Sequential(*layers)
    initialize_(model, init, Context(activation=activation(), generator=stream))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(inputs), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, losses


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_under_zeros_nothing_trains_and_the_loss_stays_at_ln_10(activation):
    model, losses = train(zeros_, activation)
    assert losses == pytest.approx([math.log(10)] * 30, abs=1e-6)
    assert all((layer.weight == 0).all() for layer in (model[0], model[2], model[4]))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("init", [ones_, partial(constant_, value=0.1), partial(constant_, value=10.0)])
def test_under_equal_weights_the_units_of_a_layer_stay_equal(init, activation):
    model, losses = train(init, activation)
    assert math.isfinite(losses[-1])
    for layer in (model[0], model[2]):
        torch.testing.assert_close(layer.weight, layer.weight[:1].expand_as(layer.weight), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(F.cosine_similarity(layer.weight[:1], layer.weight), torch.ones(32))


def test_under_random_weights_the_units_differ():
    model, losses = train(glorot_normal_, nn.ReLU)
    assert F.cosine_similarity(model[0].weight[:1], model[0].weight[1:]).abs().max() < 0.9
    assert losses[-1] < losses[0] - 0.1
