"""How well one does without a network: the least that a network has to beat."""

from __future__ import annotations

import warnings
from typing import NamedTuple

from torch import Tensor

from bnexp.data.dataset import Examples

LINEAR_EXAMPLES = 2000
"""Training examples of the linear baseline: enough for its place, and seconds for images of 3 · 32 · 32 values."""


class Baselines(NamedTuple):
    """Fractions of the validation split that are right.

    Attributes:
        majority: with the training split's commonest class for everything; the mean over them where several are.
        linear: by multinomial logistic regression on (some of) the training split.
        num_linear: the training examples behind ``linear``.
    """

    majority: float
    linear: float
    num_linear: int


def baselines(train: Examples, val: Examples) -> Baselines:
    """Measure both baselines.

    The linear one sees standardized inputs whatever the network sees; a feature that is constant in training is 0.
    """
    counts = train.labels.bincount()
    is_commonest = counts == counts.max()
    some = Examples(train.inputs[:LINEAR_EXAMPLES], train.labels[:LINEAR_EXAMPLES])
    majority = float(is_commonest[val.labels].double().mean() / is_commonest.sum())
    return Baselines(majority, _linear_accuracy(some, val), len(some))


def _linear_accuracy(train: Examples, val: Examples) -> float:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what 100 iterations find is baseline enough
        classifier.fit(_rows(train.inputs), train.labels.numpy())
    return float((classifier.predict(_rows(val.inputs)) == val.labels.numpy()).mean())


def _rows(inputs: Tensor) -> object:
    return inputs.flatten(1).double().numpy()
