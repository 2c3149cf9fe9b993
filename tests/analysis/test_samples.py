"""What the picture of examples shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bnexp.analysis.samples import draw_features, draw_images
from bnexp.data.dataset import Dataset, Examples


def dataset(inputs: torch.Tensor, classes: tuple[str, ...] = ("cat", "_dog")) -> Dataset:
    examples = Examples(inputs, torch.arange(len(inputs)) % len(classes))
    channels = inputs.shape[1]
    return Dataset(examples, examples, examples, classes, torch.full((channels,), 4.0), torch.full((channels,), 2.0))


def stored(channels: int) -> torch.Tensor:
    return torch.randint(17, (12, channels, 4, 5), generator=torch.Generator().manual_seed(0)).byte()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_images_are_drawn_in_the_units_that_they_are_stored_in(channels: int) -> None:
    images = stored(channels)
    data = dataset(images)
    figure = draw_images((images - 4.0) / 2, data.train.labels, data)
    pane = figure.axes[5]
    shown = pane.images[0].get_array()
    low, high = float(images.min()), float(images.max())
    expected = (images[5].numpy() - low) / (high - low)
    assert np.allclose(shown, expected.transpose(1, 2, 0) if channels == 3 else expected[0], atol=1e-6)
    assert pane.get_title() == "_dog"


def test_mixed_examples_have_the_names_of_both() -> None:
    images = stored(1)
    data = dataset(images)
    targets = torch.tensor([[0.75, 0.25], [0.0, 1.0]]).repeat(6, 1)
    figure = draw_images((images - 4.0) / 2, targets, data)
    assert [pane.get_title() for pane in figure.axes[:2]] == ["cat 75%\n_dog 25%", "_dog"]


def test_a_long_class_name_is_cut() -> None:
    data = dataset(stored(1), ("a" * 40, "b"))
    figure = draw_images((stored(1) - 4.0) / 2, data.train.labels, data)
    assert figure.axes[0].get_title() == "a" * 13 + "…"


def test_features_are_counted_by_class() -> None:
    inputs = torch.randn(300, 22, generator=torch.Generator().manual_seed(0))
    inputs[:, 3] = 7.0
    data = dataset(inputs)
    figure = draw_features(inputs, data.train.labels, data)
    assert len([pane for pane in figure.axes if pane.get_title()]) == 20
    assert figure.get_suptitle().startswith("20 of 22 features")
    for line, label in zip(figure.axes[3].get_lines(), (0, 1), strict=True):
        assert line.get_ydata().sum() == (data.train.labels == label).sum()


@pytest.mark.parametrize("count", [2, 7, 10, 30, 49, 60])
def test_each_class_has_a_line_of_its_own_and_what_has_none_is_said(count: int) -> None:
    inputs = torch.rand(4 * count, 1, generator=torch.Generator().manual_seed(0))
    data = dataset(inputs, tuple(f"class {number}" for number in range(count)))
    figure = draw_features(inputs, data.train.labels, data)
    lines = figure.axes[0].get_lines()
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == len(lines) == min(count, 49)
    title = figure.get_suptitle()
    assert ("of 60 classes, the first 49" in title) == (count == 60)
