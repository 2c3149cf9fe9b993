"""Losses against torch.nn and against sums written out in Python, for labels and for probabilities."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnexp.nn.losses import cross_entropy, focal, hinge, mse, one_hot, smoothed

LOSSES = {
    "cross_entropy": cross_entropy,
    "focal": lambda z, q: focal(z, q, gamma=2.0),
    "focal_half": lambda z, q: focal(z, q, gamma=0.5),
    "mse": mse,
    "hinge": lambda z, q: hinge(z, q, margin=1.0),
}
EVERY = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = 2 * torch.randn(7, 5, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor([0, 4, 2, 2, 1, 3, 0])


def mean_over_examples(formula, logits=LOGITS, labels=LABELS):
    """Average ``formula(z, y)`` over the examples, in Python's own floating point."""
    values = [formula(z, y) for z, y in zip(logits.tolist(), labels.tolist(), strict=True)]
    return sum(values) / len(values)


def softmax(z):
    total = sum(math.exp(value) for value in z)
    return [math.exp(value) / total for value in z]


def test_cross_entropy_is_the_logarithm_of_the_labels_probability():
    expected = mean_over_examples(lambda z, y: -math.log(softmax(z)[y]))
    assert cross_entropy(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_is_cross_entropy_weighted_by_a_power_of_the_doubt(gamma):
    def formula(z, y):
        p = softmax(z)[y]
        return -((1 - p) ** gamma) * math.log(p)

    assert focal(LOGITS, LABELS, gamma=gamma).item() == pytest.approx(mean_over_examples(formula), rel=1e-12)


def test_focal_with_gamma_2_discounts_as_the_paper_says():
    p = torch.tensor([0.9, 0.968], dtype=torch.float64)
    logits = torch.stack([p.log(), (1 - p).log()], dim=1)
    discounts = [
        cross_entropy(z[None], torch.tensor([0])).item() / focal(z[None], torch.tensor([0]), gamma=2.0).item()
        for z in logits
    ]
    assert discounts == pytest.approx([100, 1000], rel=0.03)  # Lin et al. 2017, section 3.2


def test_mse_is_of_the_logits_and_averaged_over_the_classes():
    expected = mean_over_examples(lambda z, y: sum((value - (k == y)) ** 2 for k, value in enumerate(z)) / len(z))
    assert mse(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
def test_hinge_is_pytorchs_multi_margin_loss(margin):
    expected = nn.MultiMarginLoss(margin=margin)(LOGITS, LABELS)
    torch.testing.assert_close(hinge(LOGITS, LABELS, margin=margin), expected, rtol=1e-12, atol=0)


def test_hinge_is_zero_once_every_margin_is_kept():
    assert hinge(5.0 * one_hot(LABELS, 5), LABELS, margin=4.0).item() == 0


@EVERY
def test_probabilities_of_0_and_1_are_labels(loss):
    by_label, by_probability = loss(LOGITS, LABELS), loss(LOGITS, one_hot(LABELS, 5).double())
    torch.testing.assert_close(by_probability, by_label, rtol=1e-12, atol=0)


EXPECTED = {name: loss for name, loss in LOSSES.items() if name != "mse"}


@pytest.mark.parametrize("loss", EXPECTED.values(), ids=EXPECTED)
def test_with_probabilities_it_is_the_expectation_over_the_label(loss):
    q = torch.rand(7, 5, generator=GENERATOR, dtype=torch.float64)
    q /= q.sum(1, keepdim=True)
    expected = sum(
        q[example, label] * loss(LOGITS[example, None], torch.tensor([label])) / 7
        for example in range(7)
        for label in range(5)
    )
    torch.testing.assert_close(loss(LOGITS, q), expected, rtol=1e-12, atol=0)


def test_mse_to_probabilities_pulls_as_the_expectation_over_the_label_does():
    logits = LOGITS.clone().requires_grad_()
    q = one_hot(LABELS, 5).double() * 0.75 + 0.05
    (found,) = torch.autograd.grad(mse(logits, q), logits)
    expected = sum(
        q[example, label] * mse(logits[example, None], torch.tensor([label])) / 7
        for example in range(7)
        for label in range(5)
    )
    torch.testing.assert_close(found, *torch.autograd.grad(expected, logits), rtol=1e-12, atol=1e-14)


@EVERY
def test_gradients_are_those_of_finite_differences(loss):
    q = one_hot(LABELS, 5).double() * 0.75 + 0.05
    for targets in (LABELS, q):
        torch.autograd.gradcheck(lambda z, y=targets: loss(z, y), LOGITS.clone().requires_grad_())


@EVERY
@pytest.mark.parametrize("size", [0.0, 1e3, 1e30])
def test_logits_however_large_have_finite_gradients(loss, size):
    logits = (size * one_hot(LABELS, 5)).requires_grad_()
    loss(logits, LABELS).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_to_smoothed_labels_is_pytorchs_label_smoothing(smoothing):
    found = cross_entropy(LOGITS.float(), smoothed(LABELS, 5, smoothing))
    torch.testing.assert_close(found, F.cross_entropy(LOGITS.float(), LABELS, label_smoothing=smoothing))


def test_one_hot_is_pytorchs_and_float():
    found = one_hot(LABELS, 6)
    assert found.dtype == torch.float32
    assert torch.equal(found, F.one_hot(LABELS, 6).float())
