"""Whether the parts of an experiment go together, found by trying them out without data; nothing is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from math import prod

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from bnexp.config.check import Config
from bnexp.config.targets import build, resolve
from bnexp.data.dataset import Dataset
from bnexp.errors import ConfigError
from bnexp.machine import machine_memory
from bnexp.nn.statistics import batch_statistics
from bnexp.training.batches import evaluation_sizes
from bnexp.training.settings import Evaluation, Settings

BYTES_PER_PARAMETER = 16
"""Training holds a float32 weight with its gradient and the two moments of Adam."""

MOST_VALUES = 2**20
"""Inputs of a batch that are computed to see whether it works; a larger batch is made of shapes alone."""


def check_batches(config: Config, choices: Mapping[str, str], batch_size: int, dataset: Dataset) -> None:
    """Raise :class:`ConfigError` where the training split cannot be cut into such batches, or not be augmented."""
    num_examples = len(dataset.train)
    if batch_size > num_examples:
        raise ConfigError(
            f"training.batch_size={batch_size} is more than the {num_examples} training examples; "
            f"use at most {num_examples}, or full"
        )
    plan = build(config["augment"], "augment")(1, torch.Generator())
    if plan is not None and plan.needs_images and len(dataset.input_shape) != 3:
        raise ConfigError(
            f"augment={choices['augment']} needs images; dataset={choices['dataset']} has rows: use augment=none"
            + (", or augment.padding=null" if plan.shares is not None else "")
        )


def check_launch(settings: Settings, device: torch.device) -> None:
    """Raise :class:`ConfigError` where steps cannot be launched as asked for: by a graph, or as compiled kernels."""
    if settings.graph == "on" and device.type != "cuda":
        raise ConfigError(f"training.graph=on needs a CUDA device, not {device}; use training.graph=auto")
    compilers = [os.environ.get("CXX") or "", "g++", "clang++", "cl"]
    if settings.compile and device.type == "cpu" and not any(map(shutil.which, filter(None, compilers))):
        raise ConfigError(
            "training.compile=true needs a C++ compiler, and none is found; install g++ or clang++, or use "
            "training.compile=false"
        )


def check_optimizer(config: Config, choices: Mapping[str, str], settings: Settings, num_examples: int) -> None:
    """Raise :class:`ConfigError` where an optimizer and its batches or its schedule contradict each other."""
    optimizer = resolve(config["optimizer"]["_target_"], "optimizer")
    if getattr(optimizer, "full_batch", False) and settings.num_in_batch(num_examples) < num_examples:
        raise ConfigError(
            f"training.batch_size={settings.batch_size}: optimizer={choices['optimizer']} takes the gradient of the "
            "whole training split; use training.batch_size=full, or optimizer=sgd"
        )
    schedule = build(config["schedule"], "schedule")
    if getattr(optimizer, "without_schedule", False) and any(schedule(step, 100) != 1 for step in range(100)):
        raise ConfigError(
            f"schedule={choices['schedule']}: no schedule has an effect on optimizer={choices['optimizer']}, which "
            "finds its step sizes by itself; use schedule=constant with schedule.warmup=0"
        )


def check_memory(make_model: Callable[[], nn.Module], choices: Mapping[str, str]) -> None:
    """Raise :class:`ConfigError` where a network would not fit into memory; it is made of shapes alone to see that.

    The rule is about its parameters: weights, gradients and an optimizer's state. What a batch takes comes on top.
    """
    try:
        with torch.device("meta"):
            known = [parameter for parameter in make_model().parameters() if not is_lazy(parameter)]
    except RuntimeError:  # somebody's constructor looks at numbers, which a network made of shapes has not
        return
    num_parameters = sum(parameter.numel() for parameter in known)
    needed, present = num_parameters * BYTES_PER_PARAMETER, machine_memory()
    if needed > present:
        raise ConfigError(
            f"model={choices['model']}: its {num_parameters:,} parameters take {needed / 2**30:,.0f} GiB in training, "
            f"and this machine has {present / 2**30:,.0f} GiB; use a smaller network"
        )


def check_network(model: nn.Module, config: Config, choices: Mapping[str, str], dataset: Dataset) -> None:
    """Try out a network on black images: noise, optimizer, and the shapes of a training step and of an evaluation.

    It costs a forward pass, a third of a training step. PyTorch's ``meta`` device, which computes shapes alone, is for
    large batches: it has to import half of the compiler for that.

    Raises:
        ConfigError: where one of them does not work.
    """
    trial = deepcopy(model)
    with _naming(f"noise={choices['noise']}"):  # which stays attached to the model that it is made for
        build(config["noise"], "noise")(deepcopy(model), config["seed"])
    with _naming(f"optimizer={choices['optimizer']}"):
        build(config["optimizer"], "optimizer")(trial)
    num_examples = len(dataset.train)
    settings: Settings = build(config["training"], "training")
    evaluation: Evaluation = build(config["evaluation"], "evaluation")
    with _naming(f"norm={choices['norm']} with model={choices['model']}"):
        _send(trial.train(), min(settings.num_in_batch(num_examples), num_examples), dataset)
    if evaluation.statistics != "batch":
        return
    for name, split in (("validation", dataset.val), ("test", dataset.test)):
        for size in sorted(set(evaluation_sizes(len(split), evaluation.batch_size))):
            try:
                with batch_statistics(trial.eval()):
                    _send(trial, size, dataset)
            except ValueError as error:
                raise ConfigError(
                    f"evaluation.batch_size={evaluation.batch_size} makes a batch of {size} of the {len(split)} "
                    f"{name} examples, too few for the statistics of norm={choices['norm']}; use another "
                    "evaluation.batch_size, or evaluation.statistics=running"
                ) from error


@torch.no_grad()
def _send(model: nn.Module, batch_size: int, dataset: Dataset) -> None:
    shape = (batch_size, *dataset.input_shape)
    device = "cpu" if prod(shape) <= MOST_VALUES else "meta"
    with torch.random.fork_rng(devices=[]):
        trial = deepcopy(model).to(device)
        trial(torch.zeros(shape, device=device))
    known = dict(model.named_parameters())
    if late := [name for name, _ in trial.named_parameters() if name not in known]:
        raise ConfigError(
            f"{', '.join(late)}: parameters that the model makes in its first forward pass are neither initialized nor "
            "trained; make them in its constructor, or use torch.nn.LazyLinear and its kin"
        )


@contextmanager
def _naming(parts: str) -> Iterator[None]:
    """Turn a ValueError of PyTorch's into a line about the ``parts``."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{parts}: {str(error).splitlines()[0]}") from error
