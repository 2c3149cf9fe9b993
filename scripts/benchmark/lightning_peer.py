"""The same training as a Lightning module, with everything off that is not training."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable

import lightning
import torch
from plain import BATCH_SIZE, Photographs, net, optimizer_of, training_data
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


class Classifier(lightning.LightningModule):
    """A network and its loss."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        return F.cross_entropy(self.model(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        self.log("val/accuracy", (self.model(images).argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer_of(self.model)


class Clock(lightning.Callback):
    """The seconds of the last training epoch."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.seconds = time.perf_counter() - self.started


def trainer(epochs: int, bf16: bool = False, clock: Clock | None = None, device: str = "cpu") -> lightning.Trainer:
    """Return a trainer without logger, checkpoints, bar and summary."""
    return lightning.Trainer(
        accelerator=device,
        devices=1,
        max_epochs=epochs,
        precision="bf16-mixed" if bf16 else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[clock] if clock else [],
    )


def lightning_loop(workers: int, bf16: bool, device: str = "cpu") -> Callable[[], float]:
    """Return a function that trains an epoch and returns images a second; the trainer's start does not count."""
    loader = DataLoader(
        Photographs(training_data()),
        BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    model = Classifier(net())

    def measure() -> float:
        clock = Clock()
        trainer(1, bf16, clock, device).fit(model, loader)
        return len(loader) * BATCH_SIZE / clock.seconds

    return measure
