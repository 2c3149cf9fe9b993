"""Two toy sets, computed rather than read, each made for one question and with a known truth."""

from __future__ import annotations

from math import sqrt
from typing import Annotated

import torch

from bnexp.data.dataset import Examples, Source
from bnexp.ranges import Count, Interval, Natural, NonNegative
from bnexp.seeding import generator

MAX_AGE = 65.0
MAX_SALARY = 10_000.0
IMAGE_SIZE = 16

NumExamples = Annotated[Count, Interval(high=10**6)]
"""More would say no more about either question, and would not fit into every memory."""


def two_features(*, num_examples: NumExamples, noise: NonNegative, data_seed: Natural) -> Source:
    """Age and salary, whose scales differ 154-fold, and a line between two classes.

    Rows (N, 2): age ~ U(0, 65) in years, salary ~ U(0, 10,000), independent. With z = (x − mean) / standard deviation,

    Formula: P(above) = 1 / (1 + exp(−(z_age + z_salary) / noise)); noise = 0 draws the line without error

    The set shows why inputs of different scale force a low learning rate. A linear model's squared error has the
    Hessian H = XᵀX / n. Gradient descent on it is stable for lr < 2 / λ_max(H), and takes on the order of the condition
    number κ = λ_max / λ_min of steps. For independent features, uniform on (0, a) and (0, b), and n → ∞,

        H = [[a²/3, ab/4], [ab/4, b²/3]],  λ = (T ± √(T² − 4D)) / 2  with T = (a² + b²) / 3 and D = 7 a² b² / 144

    =====================  ==============  ===========
    ``dataset.scaling``    2 / λ_max       κ
    =====================  ==============  ===========
    raw (a 65, b 10,000)   6.0e-8          54,102
    unit (a = b = 1)       24/7 = 3.43     7
    standardized           2 / (1 + |r|)   (1 + |r|) / (1 − |r|), r the sample's correlation, about 0
    =====================  ==============  ===========

    Source: the example of the lectures on normalization; the bound is in LeCun et al. 1998, "Efficient BackProp",
    section 5.1.
    """
    draws = generator(data_seed, "two_features")
    unit = torch.rand(num_examples, 2, dtype=torch.float64, generator=draws)
    score = (unit - 0.5).sum(dim=1) * sqrt(12)  # z_age + z_salary
    logistic = torch.rand(num_examples, dtype=torch.float64, generator=draws).logit(eps=1e-12)
    rows = unit * torch.tensor([MAX_AGE, MAX_SALARY], dtype=torch.float64)
    labels = score + noise * logistic > 0
    return Source(Examples(rows, labels.long()), classes=("below", "above"))


def brightness(
    *,
    num_examples: NumExamples,
    num_levels: Annotated[int, Interval(low=2, high=10)],
    contrast: Annotated[int, Interval(low=0, high=100)],
    data_seed: Natural,
) -> Source:
    """Images whose mean level is the class, and nothing else is.

    Grayscale (N, 1, 16, 16): a level, the same for a whole image, plus a random pattern whose sum over the image is 0.

    Formula: x = level + pattern, level = contrast + class · (255 − 2 · contrast) / (num_levels − 1) rounded, pattern
    uniform on the whole numbers −contrast … contrast and odd under a half turn, pattern(−p) = −pattern(p)

    An image's mean is its level, and x − mean is its pattern, which is drawn without looking at the class. So whatever
    normalizes an image by its own statistics and sees the image first (``norm=instance``, ``layer``, or ``group`` with
    one group, and ``norm.input=true``) leaves the same distribution for every class, and chance is the best that can
    follow: accuracy 1 / ``num_levels``. Batch norm takes one mean from all images and keeps the differences between
    them. Behind a convolution the loss is not complete: see ``docs/datasets.md``.

    Source: made for the claim of the lectures that batch norm "loses absolute scale (brightness)".
    """
    draws = generator(data_seed, "brightness")
    half = (num_examples, 1, IMAGE_SIZE // 2, IMAGE_SIZE)
    upper = torch.randint(-contrast, contrast + 1, half, generator=draws)
    pattern = torch.cat([upper, -upper.flip(2, 3)], dim=2)
    labels = torch.arange(num_examples) % num_levels
    levels = torch.linspace(contrast, 255 - contrast, num_levels).round().long()
    images = (levels[labels].view(-1, 1, 1, 1) + pattern).to(torch.uint8)
    return Source(Examples(images, labels), classes=tuple(f"level {level}" for level in levels.tolist()))
