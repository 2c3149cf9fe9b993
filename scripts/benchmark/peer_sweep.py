"""The script that a sweep of bnexp's is measured against: Hydra's own launcher, and a plain loop or Lightning inside.

    python peer_sweep.py -m loop=plain norm=none,batch init=default,he 'seed=range(4)'

Digits as tensors, a DataLoader, the ConvNet 32–64–128; each run scores the validation split after each epoch, the test
split at its end, and saves its weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import hydra
import torch
from hydra.core.config_store import ConfigStore
from plain import net, optimizer_of, train_epoch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bnexp.data.bundled import digits


@dataclass
class Config:
    """What a run can be asked for."""

    loop: str = "plain"
    norm: str = "batch"
    init: str = "he"
    seed: int = 0
    epochs: int = 5


ConfigStore.instance().store("peer", Config)


def loaders(seed: int) -> list[DataLoader[tuple[torch.Tensor, ...]]]:
    """Training, validation and test examples."""
    examples = digits().examples
    inputs = (examples.inputs.float() - 4.9) / 6.0
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed))
    parts = [TensorDataset(inputs[rows], examples.labels[rows]) for rows in order.split([1293, 144, 360])]
    return [DataLoader(part, 64, shuffle=index == 0, drop_last=index == 0) for index, part in enumerate(parts)]


@torch.no_grad()
def accuracy(model: nn.Module, loader: DataLoader[tuple[torch.Tensor, ...]]) -> float:
    """Portion of right answers."""
    model.eval()
    return sum(int((model(x).argmax(1) == y).sum()) for x, y in loader) / len(loader.dataset)  # type: ignore[arg-type]


def plain(config: Config, model: nn.Module) -> None:
    """Train with a loop of one's own."""
    train, val, test = loaders(config.seed)
    optimizer = optimizer_of(model)
    for epoch in range(config.epochs):
        train_epoch(model, optimizer, train)
        print(epoch, accuracy(model, val))
    print(accuracy(model, test))


def with_lightning(config: Config, model: nn.Module) -> None:
    """Train with a Trainer."""
    from lightning_peer import Classifier, trainer

    train, val, test = loaders(config.seed)
    trainer(config.epochs).fit(Classifier(model), train, val)
    print(accuracy(model, test))


@hydra.main(version_base="1.3", config_path=None, config_name="peer")
def main(config: Config) -> None:
    torch.manual_seed(config.seed)
    model = net(1, norm=config.norm == "batch", he=config.init == "he")
    (plain if config.loop == "plain" else with_lightning)(config, model)
    torch.save(model.state_dict(), Path(mkdtemp()) / "model.pt")


if __name__ == "__main__":
    main()
