"""The initializers of Keras 3, under Keras' definitions and default values.

Fans are counted on PyTorch's weights (see :mod:`bnexp.nn.initializers`). Keras agrees with that for dense and ordinary
convolution kernels and counts fan_in for a depthwise kernel over all channels.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from bnexp.errors import ConfigError
from bnexp.nn.initialize import Context
from bnexp.ranges import Finite, Positive

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of N(0, 1) cut at ±2."""


def random_normal_(weight: Tensor, context: Context, *, mean: Finite, std: Positive) -> None:
    """Normal, of the same width in every layer.

    Formula: N(mean, std²)
    Source: Keras, ``RandomNormal``
    """
    nn.init.normal_(weight, mean, std, generator=context.generator)


def random_uniform_(weight: Tensor, context: Context, *, low: Finite, high: Finite) -> None:
    """Uniform, of the same width in every layer.

    Formula: U(low, high)
    Source: Keras, ``RandomUniform``

    Raises:
        ConfigError: unless low < high.
    """
    if low >= high:
        raise ConfigError(f"init.low={low:g} must be less than init.high={high:g}; use init.low={high - 0.1:g}")
    nn.init.uniform_(weight, low, high, generator=context.generator)


def truncated_normal_(weight: Tensor, context: Context, *, mean: Finite, std: Positive) -> None:
    """Normal without its tails, of the same width in every layer.

    Formula: N(mean, std²) restricted to mean ± 2·std; its real standard deviation is 0.8796·std
    Source: Keras, ``TruncatedNormal``; PyTorch's bounds are absolute, these count standard deviations
    """
    nn.init.trunc_normal_(weight, mean, std, mean - 2 * std, mean + 2 * std, generator=context.generator)


def zeros_(weight: Tensor, context: Context) -> None:
    """Every weight zero: all units of a layer stay equal, and a ReLU network never learns more than its output bias.

    Formula: W = 0
    Source: Keras, ``Zeros``
    """
    nn.init.zeros_(weight)


def ones_(weight: Tensor, context: Context) -> None:
    """Every weight one: all units of a layer stay equal.

    Formula: W = 1
    Source: Keras, ``Ones``
    """
    nn.init.ones_(weight)


def constant_(weight: Tensor, context: Context, *, value: Finite) -> None:
    """Every weight the same: all units of a layer stay equal.

    Formula: W = value
    Source: Keras, ``Constant``
    """
    nn.init.constant_(weight, value)


def variance_scaling_(
    weight: Tensor,
    context: Context,
    *,
    scale: Positive,
    mode: Literal["fan_in", "fan_out", "fan_avg"],
    distribution: Literal["truncated_normal", "untruncated_normal", "uniform"],
) -> None:
    """A variance that falls with the layer's fan, in the distribution of one's choice.

    Formula: σ² = scale/max(1, n), n = fan_in, fan_out or their mean; truncated_normal is N(0, (σ/0.8796)²) cut at two
        standard deviations, so its real one is σ; uniform is U(±√3·σ)
    Source: Keras, ``VarianceScaling``
    """
    fan_in, fan_out = weight[0].numel(), weight[:, 0].numel()
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    std: float = (scale / max(1, fan)) ** 0.5
    if distribution == "truncated_normal":
        truncated_normal_(weight, context, mean=0.0, std=std / TRUNCATED_STD)
    elif distribution == "untruncated_normal":
        nn.init.normal_(weight, 0.0, std, generator=context.generator)
    else:
        bound = 3**0.5 * std
        nn.init.uniform_(weight, -bound, bound, generator=context.generator)


def glorot_normal_(weight: Tensor, context: Context) -> None:
    """Keras' Xavier normal: the same variance as xavier without the tails.

    Formula: σ² = 2/(fan_in + fan_out); N(0, (σ/0.8796)²) cut at two standard deviations, so its real one is σ
    Source: Keras, ``GlorotNormal``; Glorot & Bengio 2010
    """
    variance_scaling_(weight, context, scale=1.0, mode="fan_avg", distribution="truncated_normal")


def glorot_uniform_(weight: Tensor, context: Context) -> None:
    """Keras' default: xavier_uniform with a gain of 1, under Keras' name.

    Formula: U(±√(6/(fan_in + fan_out)))
    Source: Keras, ``GlorotUniform``; Glorot & Bengio 2010
    """
    variance_scaling_(weight, context, scale=1.0, mode="fan_avg", distribution="uniform")


def keras_he_normal_(weight: Tensor, context: Context) -> None:
    """Keras' He normal: the same variance as he for ReLU, without the tails.

    Formula: σ² = 2/fan_in; N(0, (σ/0.8796)²) cut at two standard deviations, so its real one is σ
    Source: Keras, ``HeNormal``; He et al. 2015
    """
    variance_scaling_(weight, context, scale=2.0, mode="fan_in", distribution="truncated_normal")


def keras_lecun_normal_(weight: Tensor, context: Context) -> None:
    """Keras' LeCun normal: the same variance as lecun, without the tails.

    Formula: σ² = 1/fan_in; N(0, (σ/0.8796)²) cut at two standard deviations, so its real one is σ
    Source: Keras, ``LecunNormal``; Klambauer et al. 2017
    """
    variance_scaling_(weight, context, scale=1.0, mode="fan_in", distribution="truncated_normal")
