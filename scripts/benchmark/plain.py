"""What a plain PyTorch script does: a Dataset of PIL images, torchvision's transforms, a DataLoader, a loop."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from photographs import photographs
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from bnexp.data.dataset import Dataset
from bnexp.data.split import split
from bnexp.seeding import generator

BATCH_SIZE = 128


def training_data() -> Dataset:
    """Divide the photographs as bnexp's run does, without preparing one."""
    return split(
        photographs(),
        generator(0, "split"),
        generator(0, "labels"),
        val_fraction=0.1,
        test_fraction=0.1,
        subset=1.0,
        label_noise=0.0,
        scaling="standardized",
    )


class Photographs(TorchDataset[tuple[torch.Tensor, int]]):
    """Training images in memory, as ``torchvision.datasets.CIFAR10`` keeps them; cropped and flipped one by one."""

    def __init__(self, dataset: Dataset) -> None:
        self.pixels = dataset.train.inputs.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = dataset.train.labels.tolist()
        size = self.pixels.shape[1]
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(size, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((dataset.mean / 255).tolist(), (dataset.std / 255).tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def net(channels: int = 3, width: int = 32, norm: bool = True, he: bool = True) -> nn.Sequential:
    """The ConvNet 32–64–128 as one would write it."""
    layers: list[nn.Module] = []
    for stage in range(3):
        out = width * 2**stage
        layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out) if norm else nn.Identity()]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        channels = out
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]
    if he:
        for layer in layers:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum, as in bnexp's default."""
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loader: DataLoader[tuple[torch.Tensor, int]],
    bf16: bool = False,
    device: str = "cpu",
) -> None:
    """Train on every batch of the loader once."""
    model.train()
    for images, labels in loader:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def plain_loop(workers: int, bf16: bool, device: str = "cpu") -> Callable[[], float]:
    """Return a function that trains an epoch and returns images a second."""
    loader = DataLoader(
        Photographs(training_data()),
        BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device != "cpu",
    )
    model = net().to(device)
    optimizer = optimizer_of(model)

    def measure() -> float:
        started = time.perf_counter()
        train_epoch(model, optimizer, loader, bf16, device)
        if device != "cpu":
            torch.cuda.synchronize()
        return len(loader) * BATCH_SIZE / (time.perf_counter() - started)

    return measure
