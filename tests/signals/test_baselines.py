"""The two baselines, on data for which one knows what they must be."""

from __future__ import annotations

import torch

from bnexp.data.dataset import Examples
from bnexp.signals.baselines import LINEAR_EXAMPLES, baselines


def line(count: int, seed: int) -> Examples:
    """Two classes on the two sides of a plane, in units that are far apart."""
    inputs = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return Examples(inputs * torch.tensor([1.0, 1e4, 1e-3]), (inputs.sum(1) > 0.8).long())


def test_the_majority_is_that_of_the_training_split() -> None:
    train = Examples(torch.randn(9, 2), torch.tensor([2, 2, 2, 1, 1, 0, 0, 0, 2]))
    val = Examples(torch.randn(4, 2), torch.tensor([0, 0, 0, 2]))
    assert baselines(train, val).majority == 0.25


def test_a_linear_classifier_finds_a_plane_whatever_the_units() -> None:
    found = baselines(line(400, 0), line(200, 1))
    assert found.linear > 0.97
    assert found.num_linear == 400


def test_a_linear_classifier_finds_no_exclusive_or() -> None:
    inputs = torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, 0] * inputs[:, 1] > 0).long()
    found = baselines(Examples(inputs[:400], labels[:400]), Examples(inputs[400:], labels[400:]))
    assert 0.35 < found.linear < 0.65


def test_only_so_many_examples_are_taken() -> None:
    assert baselines(line(LINEAR_EXAMPLES + 50, 0), line(20, 1)).num_linear == LINEAR_EXAMPLES


def test_images_are_rows_of_pixels() -> None:
    images = torch.zeros(40, 1, 2, 2, dtype=torch.uint8)
    labels = torch.arange(40) % 2
    images[labels == 1, 0, 1, 0] = 255
    assert baselines(Examples(images, labels), Examples(images[:10], labels[:10])).linear == 1
