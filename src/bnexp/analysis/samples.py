"""What a network is shown: a grid of training images as they reach it, or the distribution of each feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bnexp.analysis.curves import COLOURS, DASHES
from bnexp.analysis.legend import add_legend, arranged
from bnexp.data.dataset import Dataset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 10
MOST_IMAGES = 40
MOST_LETTERS = 14
MOST_FEATURES = 20
FEATURES_ACROSS = 5
NUM_BINS = 30
MOST_CLASSES = len(COLOURS) * len(DASHES)
"""Of more, one could not be told from another."""


def draw_images(inputs: Tensor, targets: Tensor, dataset: Dataset) -> Figure:
    """Draw the first images of a batch, with their classes.

    Args:
        inputs: (B, C, H, W) as the network gets them, augmented and scaled; drawn in the dataset's own units, from the
            smallest to the largest value that is stored. One channel is grey, three are red, green and blue; of any
            other number, the first is drawn.
        targets: labels (B,), or probabilities (B, K) where examples are mixed: then the two largest are named.
        dataset: whose units and class names are used.
    """
    from matplotlib.figure import Figure

    images = inputs.cpu() * dataset.std.view(-1, 1, 1) + dataset.mean.view(-1, 1, 1)
    low, high = float(dataset.train.inputs.min()), float(dataset.train.inputs.max())
    shown = ((images - low) / max(high - low, 1e-6)).clamp(0, 1).numpy()
    count = min(len(shown), MOST_IMAGES)
    rows = -(-count // ACROSS)
    height = rows * 1.25 + 0.4
    figure = Figure(figsize=(ACROSS * 0.95, height))
    panes = figure.subplots(rows, ACROSS, squeeze=False).ravel()
    # All panes are alike; a layout that measures each of them takes twice as long.
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=1 - 0.7 / height, wspace=0.08, hspace=0.4)
    for pane in panes:
        pane.set_axis_off()
    for pane, image, target in zip(panes, shown[:count], targets[:count].cpu(), strict=False):
        channels = image.transpose(1, 2, 0) if len(image) == 3 else image[0]
        pane.imshow(channels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        pane.set_title(_name(target, dataset.classes), fontsize=8, pad=2, parse_math=False)
    figure.suptitle(f"the first {count} training examples as the network gets them", fontsize=10)
    return figure


def draw_features(inputs: Tensor, labels: Tensor, dataset: Dataset) -> Figure:
    """Draw a histogram of each feature (N, F) as the network gets them, the first ones, with a line for each class."""
    from matplotlib.figure import Figure

    count = min(inputs.shape[1], MOST_FEATURES)
    across = min(count, FEATURES_ACROSS)
    rows = -(-count // across)
    figure = Figure(figsize=(max(across * 1.9, 4.0), rows * 1.5 + 0.8), layout="constrained")
    panes = figure.subplots(rows, across, squeeze=False).ravel()
    for pane in panes[count:]:
        pane.set_axis_off()
    for index in range(count):
        _draw_feature(panes[index], inputs[:, index].cpu(), labels.cpu(), len(dataset.classes))
        name = dataset.contract.features[index] if dataset.contract.features else f"feature {index}"
        panes[index].set_title(_short(name), fontsize=8, pad=2, parse_math=False)
    many = f"{count} of {inputs.shape[1]}" if inputs.shape[1] > count else f"{count}"
    lines = panes[0].get_lines()
    classes = f" of {len(dataset.classes)} classes, the first {len(lines)}" if len(lines) < len(dataset.classes) else ""
    figure.suptitle(f"{many} features as the network gets them, by class{classes}", fontsize=10)
    names = [_short(name) for name in dataset.classes[: len(lines)]]
    add_legend(figure, lines, arranged(names, figure.get_figwidth(), most_columns=5, fontsize=8))
    return figure


def _draw_feature(pane: Axes, values: Tensor, labels: Tensor, num_classes: int) -> None:
    finite = values.double().numpy()
    low, high = np.percentile(finite, [0.5, 99.5])  # a single far value would leave one bar
    edges = np.linspace(low, high, NUM_BINS + 1) if low < high else np.array([low - 0.5, low + 0.5])
    for label in range(min(num_classes, MOST_CLASSES)):
        counts, _ = np.histogram(finite[(labels == label).numpy()], edges)
        style: dict[str, Any] = {"color": COLOURS[label % len(COLOURS)], "linestyle": DASHES[label // len(COLOURS)]}
        pane.plot((edges[:-1] + edges[1:]) / 2, counts, linewidth=1, drawstyle="steps-mid", **style)
    pane.set_yticks([])
    pane.tick_params(labelsize=7)


def _name(target: Tensor, classes: Sequence[str]) -> str:
    if target.dim() == 0:
        return _short(classes[int(target)])
    shares, labels = torch.topk(target, min(2, len(target)))
    named = [f"{_short(classes[i])} {share:.0%}" for share, i in zip(shares.tolist(), labels.tolist(), strict=True)]
    return "\n".join(named) if shares[-1] > 0 else _short(classes[int(labels[0])])


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"
