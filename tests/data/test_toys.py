from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import ks_1samp, ks_2samp, pearsonr, uniform
from torch import nn

from bnexp.data.dataset import Source
from bnexp.data.toys import brightness, two_features

Array = NDArray[np.float64]

# --- two_features -----------------------------------------------------------------------------------------------------


def table(num_examples: int = 2000, noise: float = 0.1, data_seed: int = 0) -> tuple[Array, Array]:
    examples = two_features(num_examples=num_examples, noise=noise, data_seed=data_seed).examples
    assert examples.inputs.dtype == torch.float64
    return examples.inputs.double().numpy(), examples.labels.numpy().astype(np.float64)


def hessian(x: Array) -> Array:
    return x.T @ x / len(x)


def condition_number(x: Array) -> float:
    return float(np.linalg.cond(hessian(x)))


def largest_stable_lr(x: Array) -> float:
    return 2 / float(np.linalg.eigvalsh(hessian(x))[-1])


def standardized(x: Array) -> Array:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def test_age_and_salary_are_uniform_and_independent():
    x, _ = table(20_000)
    assert x.shape == (20_000, 2)
    assert ks_1samp(x[:, 0], uniform(0, 65).cdf).pvalue > 1e-4
    assert ks_1samp(x[:, 1], uniform(0, 10_000).cdf).pvalue > 1e-4
    assert abs(pearsonr(x[:, 0], x[:, 1]).statistic) < 4 / np.sqrt(20_000)


def test_the_condition_number_is_that_of_the_closed_form():
    x, _ = table(200_000)
    assert condition_number(x) == pytest.approx(54_102, rel=0.02)
    assert condition_number(x / [65, 10_000]) == pytest.approx(7, rel=0.02)
    r = abs(pearsonr(x[:, 0], x[:, 1]).statistic)
    assert condition_number(standardized(x)) == pytest.approx((1 + r) / (1 - r))
    assert condition_number(standardized(x)) < 1.02


def test_the_largest_stable_lr_is_that_of_the_closed_form():
    x, _ = table(200_000)
    assert largest_stable_lr(x) == pytest.approx(6.0e-8, rel=0.01)
    assert largest_stable_lr(x / [65, 10_000]) == pytest.approx(24 / 7, rel=0.01)
    r = abs(pearsonr(x[:, 0], x[:, 1]).statistic)
    assert largest_stable_lr(standardized(x)) == pytest.approx(2 / (1 + r))


@pytest.mark.parametrize("scale", ["raw", "standardized"])
def test_gradient_descent_is_stable_just_below_that_lr_and_not_just_above(scale: str):
    x, y = table()
    if scale == "standardized":
        x = standardized(x)

    def loss(w: Array) -> float:
        return float(np.mean((x @ w - y) ** 2) / 2)

    def excess_after(lr: float, num_steps: int) -> float:
        """How far the loss is above its minimum, as a multiple of what it was at the start."""
        w, best = np.zeros(2), np.linalg.lstsq(x, y)[0]
        for _ in range(num_steps):
            w -= lr * x.T @ (x @ w - y) / len(x)
        return (loss(w) - loss(best)) / (loss(np.zeros(2)) - loss(best))

    limit = largest_stable_lr(x)
    assert excess_after(0.98 * limit, 400) < 1
    assert excess_after(1.02 * limit, 400) > 1e3


def test_without_noise_the_line_divides_the_classes():
    x, y = table(noise=0.0)
    score = (x[:, 0] - 32.5) / (65 / np.sqrt(12)) + (x[:, 1] - 5000) / (10_000 / np.sqrt(12))
    clear = np.abs(score) > 1e-6
    np.testing.assert_array_equal(y[clear], score[clear] > 0)


@pytest.mark.parametrize(("noise", "best"), [(0.1, 0.961), (0.5, 0.834)])
def test_the_best_accuracy_is_that_of_the_integral(noise: float, best: float):
    def density(s: float) -> float:  # the sum of two uniform variables of variance 1 is triangular
        return (2 * np.sqrt(3) - s) / 12

    bayes = 2 * quad(lambda s: expit(s / noise) * density(s), 0, 2 * np.sqrt(3))[0]
    assert bayes == pytest.approx(best, abs=5e-4)
    x, y = table(50_000, noise)
    rule = x[:, 0] / 65 + x[:, 1] / 10_000 > 1
    assert np.mean(rule == y) == pytest.approx(bayes, abs=4 * np.sqrt(bayes * (1 - bayes) / 50_000))


# --- brightness -------------------------------------------------------------------------------------------------------


def shown(num_examples: int = 2000, num_levels: int = 4, contrast: int = 60, data_seed: int = 0) -> Source:
    return brightness(num_examples=num_examples, num_levels=num_levels, contrast=contrast, data_seed=data_seed)


def patterns(source: Source) -> torch.Tensor:
    pixels = source.examples.inputs.double()
    return pixels - pixels.mean(dim=(1, 2, 3), keepdim=True)


@pytest.mark.parametrize("contrast", [0, 1, 60, 100])
@pytest.mark.parametrize("num_levels", [2, 4, 7, 10])
def test_the_mean_of_an_image_is_the_level_of_its_class_exactly(num_levels: int, contrast: int):
    source = shown(200, num_levels, contrast)
    assert source.examples.inputs.dtype == torch.uint8
    assert source.examples.inputs.shape == (200, 1, 16, 16)
    means = source.examples.inputs.double().mean(dim=(1, 2, 3))
    levels = [int(name.removeprefix("level ")) for name in source.classes]
    assert means.tolist() == [levels[label] for label in source.examples.labels]
    assert (levels[0], levels[-1]) == (contrast, 255 - contrast)
    steps = np.diff(levels)
    assert steps.min() >= 5
    assert steps.max() - steps.min() <= 1
    assert patterns(source).abs().max() == contrast  # nothing was cut off at 0 or 255


def test_the_classes_are_equally_large():
    assert torch.bincount(shown(2000, 4).examples.labels).tolist() == [500] * 4


def test_the_pattern_is_drawn_without_looking_at_the_class():
    four, ten = shown(num_levels=4), shown(num_levels=10)
    changed = four.examples.labels != ten.examples.labels
    assert changed.sum() > 1000
    assert torch.equal(patterns(four), patterns(ten))


def test_the_pattern_is_uniform_and_odd_under_a_half_turn():
    pattern = patterns(shown())
    assert torch.equal(pattern, -pattern.flip(2, 3))
    assert pattern.var().item() == pytest.approx(60 * 61 / 3, rel=0.01)  # of the whole numbers −60 … 60


@pytest.mark.parametrize(
    "per_image",
    [nn.LayerNorm([1, 16, 16]), nn.InstanceNorm2d(1), nn.GroupNorm(1, 1)],
    ids=["layer", "instance", "group"],
)
def test_normalized_by_its_own_statistics_an_image_of_another_class_is_the_same(per_image: nn.Module):
    four, ten = (source.examples.inputs.double() / 255 for source in (shown(num_levels=4), shown(num_levels=10)))
    assert (four - ten).abs().max() > 0.4
    torch.testing.assert_close(per_image.double()(four), per_image(ten), rtol=0, atol=1e-9)


def test_after_that_every_class_has_the_same_distribution():
    source = shown(num_levels=2)
    normalized = nn.InstanceNorm2d(1)(source.examples.inputs.double())
    dark, light = (normalized[source.examples.labels == label] for label in (0, 1))
    features = [lambda x: x[:, 0, 0, 0], lambda x: x.amax((1, 2, 3)), lambda x: x.pow(4).mean((1, 2, 3))]
    for feature in features:
        assert ks_2samp(feature(dark).numpy(), feature(light).numpy()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("norm", "padding", "is_lost"),
    [(nn.InstanceNorm2d(8), 0, True), (nn.InstanceNorm2d(8), 1, False), (nn.GroupNorm(1, 8), 0, False)],
)
def test_behind_a_convolution_the_level_is_seen_at_the_border_and_between_channels(
    norm: nn.Module, padding: int, is_lost: bool
):
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, 8, 3, padding=padding).double()
    four, ten = (source.examples.inputs.double() / 255 for source in (shown(50, 4), shown(50, 10)))
    with torch.no_grad():
        gap = (norm.double()(convolution(four)) - norm(convolution(ten))).abs().max()
    assert gap < 1e-3 if is_lost else gap > 0.1


def test_batch_norm_keeps_the_order_of_the_levels():
    source = shown()
    normalized = nn.BatchNorm2d(1)(source.examples.inputs.float()).mean(dim=(1, 2, 3))
    ranges = [normalized[source.examples.labels == label] for label in range(4)]
    assert all(dark.max() < light.min() for dark, light in pairwise(ranges))


@pytest.mark.parametrize(
    "make", [lambda seed: table(data_seed=seed)[0], lambda seed: shown(data_seed=seed).examples.inputs.numpy()]
)
def test_the_seed_of_the_data_decides_them(make):
    np.testing.assert_array_equal(make(3), make(3))
    assert not np.array_equal(make(3), make(4))
