"""From a configuration to an experiment that has been found to work. Reads and checks everything, writes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from bnexp.config.check import Config, check
from bnexp.config.fingerprint import fingerprint, run_path
from bnexp.config.targets import build, parameters, resolve
from bnexp.data.dataset import Dataset, Source
from bnexp.data.split import split
from bnexp.errors import ConfigError
from bnexp.models.finetune import finetune_
from bnexp.nn.activation import marked
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.statistics import batch_statistics
from bnexp.seeding import generator
from bnexp.training.batches import Scale
from bnexp.training.device import choose_device, choose_threads
from bnexp.training.settings import Evaluation, Settings

PROBE_SIZE = 512
"""Training inputs that a data-dependent initializer sees (Mishkin & Matas 2016 and Krähenbühl 2015 use a batch)."""


@dataclass(frozen=True)
class Experiment:
    """A configuration that has been found to work, with what was read and built to find that.

    Attributes:
        config: the resolved configuration.
        choices: the name of the choice of each group.
        settings: the ``training`` group.
        dataset: the split data, on the CPU.
        model: the initialized network, on the CPU.
        notes: what the loader and the initializer had to say.
        path: the run folder.
    """

    config: Config
    choices: Mapping[str, str]
    settings: Settings
    dataset: Dataset
    model: nn.Module
    notes: tuple[str, ...]
    path: Path
    fingerprint: str

    @property
    def name(self) -> str:
        """The run folder below the output folder."""
        return f"{self.path.parent.name}/{self.path.name}"


def prepare(config: Config, choices: Mapping[str, str]) -> Experiment:
    """Check a configuration against code, data and machine; build its network.

    Raises:
        ConfigError: with a line for each thing that cannot work. Nothing has been written then.
    """
    check(config, choices)
    settings: Settings = build(config["training"], "training")
    choose_device(settings.device)
    _check_writable(Path(config["output_dir"]))
    source = _source(config)
    values = {key: config["dataset"][key] for key in parameters(split, 3)}
    dataset = split(source, generator(config["seed"], "split"), generator(config["seed"], "labels"), **values)
    _check_batches(config, choices, settings, dataset)
    _check_optimizer(config, choices, settings, dataset)
    # Orthogonal and data-dependent inits change their last bits with the number of threads.
    torch.set_num_threads(choose_threads(settings.threads, dataset.input_shape))
    model, notes, weights_digest = _build_model(config, dataset)
    evaluation: Evaluation = build(config["evaluation"], "evaluation")
    _check_shapes(model, choices, dataset, _batch_size(settings, dataset), evaluation)
    digest = source.digest + weights_digest
    path = run_path(config, choices, digest)
    notes = (*source.notes, *notes)
    return Experiment(config, choices, settings, dataset, model, notes, path, fingerprint(config, digest))


def _source(config: Config) -> Source:
    node = config["dataset"]
    own_keys = parameters(resolve(node["_target_"], "dataset"), 0)
    return _cached_source(json.dumps({key: node[key] for key in ("_target_", *own_keys)}))


@lru_cache(maxsize=2)
def _cached_source(node: str) -> Source:
    """Read a dataset once for all runs of a process."""
    source: Source = build(json.loads(node), "dataset")
    return source


def _build_model(config: Config, dataset: Dataset) -> tuple[nn.Module, tuple[str, ...], str]:
    """Return the network as training starts with it, the notes about it, and the digest of weights loaded into it."""
    finetuning = {key: config["model"][key] for key in parameters(finetune_, 1)}
    architecture = {key: value for key, value in config["model"].items() if key not in finetuning}
    activation = build(config["activation"], "activation")
    norm = build(config["norm"], "norm")
    num_classes = len(dataset.classes)
    model: nn.Module = build(architecture, "model")(dataset.input_shape, num_classes, marked(activation), norm)
    context = Context(
        activation=activation(),
        generator=generator(config["seed"], "init"),
        inputs=Scale(dataset, torch.device("cpu"))(dataset.train.inputs[:PROBE_SIZE]),
    )
    notes = initialize_(model, build(config["init"], "init"), context)
    finetuned = finetune_(model, **finetuning)
    return model, (*notes, *finetuned.notes), finetuned.digest


def _batch_size(settings: Settings, dataset: Dataset) -> int:
    return len(dataset.train) if settings.batch_size == "full" else settings.batch_size


def _check_batches(config: Config, choices: Mapping[str, str], settings: Settings, dataset: Dataset) -> None:
    num_examples = len(dataset.train)
    if _batch_size(settings, dataset) > num_examples:
        raise ConfigError(
            f"training.batch_size={settings.batch_size} is more than the {num_examples} training examples; "
            f"use at most {num_examples}, or full"
        )
    plan = build(config["augment"], "augment")(1, torch.Generator())
    if plan is not None and plan.needs_images and len(dataset.input_shape) != 3:
        raise ConfigError(
            f"augment={choices['augment']} needs images; dataset={choices['dataset']} has rows: use augment=none"
            + (", or augment.padding=null" if plan.shares is not None else "")
        )


def _check_optimizer(config: Config, choices: Mapping[str, str], settings: Settings, dataset: Dataset) -> None:
    optimizer = resolve(config["optimizer"]["_target_"], "optimizer")
    if getattr(optimizer, "full_batch", False) and _batch_size(settings, dataset) < len(dataset.train):
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


def _check_shapes(
    model: nn.Module, choices: Mapping[str, str], dataset: Dataset, batch_size: int, evaluation: Evaluation
) -> None:
    """Send shapes without data through the network, as in a training step and in an evaluation."""
    shell = deepcopy(model).to("meta")
    try:
        shell.train()(torch.empty(batch_size, *dataset.input_shape, device="meta"))
        if evaluation.statistics == "batch":
            size = len(dataset.val) if evaluation.batch_size == "full" else evaluation.batch_size
            with batch_statistics(shell.eval()):
                shell(torch.empty(size, *dataset.input_shape, device="meta"))
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(
            f"norm={choices['norm']} with model={choices['model']}: {str(error).splitlines()[0]}"
        ) from error


def _check_writable(output_dir: Path) -> None:
    existing = next(folder for folder in [output_dir, *output_dir.absolute().parents] if folder.exists())
    if not existing.is_dir():
        raise ConfigError(f"output_dir={output_dir}: {existing} is a file, not a folder; name another output_dir")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"output_dir={output_dir}: {existing} is not writable for you; name another output_dir")
