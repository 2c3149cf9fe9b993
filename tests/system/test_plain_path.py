"""Speed must not cost accuracy: bnexp's step against a loop as anybody would write it, over seeds."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev

import torch
from scipy import stats
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bnexp.config.compose import compose_seeds
from bnexp.experiment import Experiment, prepare
from bnexp.run import run
from bnexp.training.progress import Silence

WORDS = ["model.width=16", "init=he", "norm=batch", "training.epochs=4"]
NUM_SEEDS = 8


def plain_accuracy(experiment: Experiment, seed: int) -> float:
    """Train the same network with a DataLoader, contiguous memory and PyTorch's unfused optimizer."""
    data, model = experiment.dataset, experiment.model
    mean, std = data.mean.view(-1, 1, 1), data.std.view(-1, 1, 1)
    train = TensorDataset((data.train.inputs - mean) / std, data.train.labels)
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True, generator=order)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, foreach=False)
    model.train()
    for _ in range(experiment.settings.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    with torch.no_grad():
        logits = model.eval()((data.test.inputs - mean) / std)
    return float((logits.argmax(1) == data.test.labels).double().mean())


def test_the_fast_path_is_as_accurate_as_a_plain_loop_within_the_noise_of_seeds(tmp_path: Path) -> None:
    differences = []
    for seed, composed in enumerate(compose_seeds([*WORDS, f"output_dir={tmp_path}"], range(NUM_SEEDS))):
        experiment = prepare(*composed)
        fast = run(experiment, Silence)["metrics"]["test/accuracy"]
        plain = plain_accuracy(experiment, seed)
        assert min(fast, plain) > 0.85  # both have learned something that can be lost
        differences.append(fast - plain)
    error = stdev(differences) / NUM_SEEDS**0.5
    assert abs(fmean(differences)) < stats.t.ppf(0.995, NUM_SEEDS - 1) * error
    assert error < 0.01  # or the line above would say nothing
