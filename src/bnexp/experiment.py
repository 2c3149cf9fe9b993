"""From a configuration to an experiment that has been found to work. Reads and checks everything, writes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from bnexp.compatibility import check_batches, check_launch, check_network, check_optimizer
from bnexp.config.check import Config, check
from bnexp.config.code import plugin_digests
from bnexp.config.fingerprint import fingerprint, run_path
from bnexp.config.targets import build, parameters, resolve
from bnexp.construction import construct
from bnexp.data.dataset import Dataset, Source
from bnexp.data.progress import announced
from bnexp.data.split import split
from bnexp.errors import ConfigError
from bnexp.global_generators import globally_seeded
from bnexp.models.finetune import finetune_
from bnexp.nn.initialize import leaves_the_rest
from bnexp.nn.left_alone import Before, left_alone
from bnexp.seeding import derive_seed, generator
from bnexp.training.bf16 import probe_bf16
from bnexp.training.device import choose_device, choose_threads
from bnexp.training.memory import keep_memory
from bnexp.training.record import RunFolder
from bnexp.training.seal import DamagedRunError, check_files
from bnexp.training.settings import Settings


class Network(NamedTuple):
    """An initialized network on the CPU, its data, what there is to say about both, and hashes of the user's files."""

    dataset: Dataset
    model: nn.Module
    notes: tuple[str, ...]
    digests: dict[str, str]


LONGEST_NAME = 255
"""Bytes of a name in a folder, on all usual file systems."""


@dataclass(frozen=True)
class Experiment:
    """A configuration that has been found to work, with what was read and built to find that.

    Attributes:
        config: the resolved configuration.
        choices: the name of the choice of each group.
        settings: the ``training`` group.
        dataset: the split data, on the CPU.
        model: the initialized network, on the CPU. A run trains a copy.
        notes: what the loader and the initializer had to say.
        path: the run folder.
        fingerprint: SHA-256 of all that can change the run's numbers but the seed, as hexadecimal digits.
        digests: hashes of the data files and of the weights that were read; empty where there are none.
        plugins: SHA-256 of the code of each plugin that the configuration calls.
    """

    config: Config
    choices: Mapping[str, str]
    settings: Settings
    dataset: Dataset
    model: nn.Module
    notes: tuple[str, ...]
    path: Path
    fingerprint: str
    digests: Mapping[str, str]
    plugins: Mapping[str, str]

    @property
    def name(self) -> str:
        """The run folder below the output folder."""
        return f"{self.path.parent.name}/{self.path.name}"


def prepare(config: Config, choices: Mapping[str, str], *, writes: bool = True) -> Experiment:
    """Check a configuration against code, data and machine; build its network.

    Args:
        config: the resolved configuration.
        choices: the name of the choice of each group.
        writes: whether the run's folder is to be written; else the place of the output folder does not matter.

    Raises:
        ConfigError: with a line for each thing that cannot work. Nothing has been written then.
    """
    keep_memory()
    check(config, choices)
    settings: Settings = build(config["training"], "training")
    device = choose_device(settings.device)
    check_launch(settings, device)
    of_precision = probe_bf16() if settings.precision == "bf16" and device.type == "cpu" else ()
    if writes:
        _check_writable(Path(config["output_dir"]))
    network = _network(config, choices, settings)
    dataset = network.dataset
    check_batches(config, choices, settings.num_in_batch(len(dataset.train)), dataset)
    check_optimizer(config, choices, settings, len(dataset.train))
    mark = fingerprint(config, network.digests, len(dataset.train))
    path = run_path(config, choices, mark)
    if writes:
        check_obstacle(RunFolder(path))
    notes = (*network.notes, *of_precision)
    plugins = plugin_digests(config)
    return Experiment(config, choices, settings, dataset, network.model, notes, path, mark, network.digests, plugins)


def build_network(config: Config, choices: Mapping[str, str]) -> Network:
    """Check a configuration and build its network, whatever is said about where and in which batches to train it.

    Raises:
        ConfigError: with a line for each thing that cannot work.
    """
    check(config, choices)
    return _network(config, choices, build(config["training"], "training"))


def _network(config: Config, choices: Mapping[str, str], settings: Settings) -> Network:
    # What code from elsewhere draws in any of this is seeded too, and leaves the caller's generators as they were.
    with globally_seeded(derive_seed(config["seed"], "preparation")):
        return _seeded_network(config, choices, settings)


def _seeded_network(config: Config, choices: Mapping[str, str], settings: Settings) -> Network:
    # Denormals slow small networks on CPUs by an order of magnitude. PyTorch's threads take this from the one that
    # starts them, at the first operation that has work for several: so before there is any.
    torch.set_flush_denormal(True)
    source = _source(config)
    values = {key: config["dataset"][key] for key in parameters(split, 3)}
    dataset = split(source, generator(config["seed"], "split"), generator(config["seed"], "labels"), **values)
    # Orthogonal and data-dependent inits change their last bits with the number of threads.
    torch.set_num_threads(choose_threads(settings.threads, dataset.input_shape))
    with announced(f"building and trying out the network, model={choices['model']}"):
        model, notes, weights_digest = _build_model(config, choices, dataset)
        check_network(model, config, choices, dataset)
    digests = {"data": source.digest, "weights": weights_digest}
    return Network(dataset, model, (*dataset.contract.warnings, *notes), digests)


def _source(config: Config) -> Source:
    node = config["dataset"]
    own_keys = parameters(resolve(node["_target_"], "dataset"), 0)
    return _cached_source(json.dumps({key: node[key] for key in ("_target_", *own_keys)}))


@lru_cache(maxsize=2)
def _cached_source(node: str) -> Source:
    """Read a dataset once for all runs of a process."""
    with globally_seeded(derive_seed(0, "dataset")):  # not the run's seed: all runs of the process share it
        source: Source = build(json.loads(node), "dataset")
    return source


def _build_model(
    config: Config, choices: Mapping[str, str], dataset: Dataset
) -> tuple[nn.Module, tuple[str, ...], str]:
    """Return the network as training starts with it, the notes about it, and the digest of weights loaded into it."""
    finetuning = {key: config["model"][key] for key in parameters(finetune_, 1)}
    architecture = {key: value for key, value in config["model"].items() if key not in finetuning}
    model, notes, constructed = construct(config, choices, architecture, dataset)
    _check_own_weights(finetuning["weights"])
    finetuned = finetune_(model, **finetuning)
    return model, (*notes, *_about_the_rest(model, constructed, config, choices), *finetuned.notes), finetuned.digest


def _check_own_weights(weights: str | None) -> None:
    """Raise ConfigError where the weights are to come from a finished run whose checkpoint is not what it sealed."""
    if weights is None or not Path(weights).is_dir():
        return
    folder = RunFolder(Path(weights))
    try:
        check_files(folder, folder.checkpoint)
    except DamagedRunError as error:
        raise ConfigError(f"model.weights={weights}: {error}") from error


def _about_the_rest(
    model: nn.Module, constructed: list[Before], config: Config, choices: Mapping[str, str]
) -> list[str]:
    """Name the parameters that neither the init nor loaded weights have reached."""
    if leaves_the_rest(build(config["init"], "init")):
        return []
    return [
        f"{name} {shape}: init={choices['init']} knows no such layer; it keeps what its constructor drew"
        for name, shape in left_alone(model, constructed).items()
    ]


def check_obstacle(folder: RunFolder) -> None:
    """Raise ConfigError where a folder lies in the place of one of the run's files."""
    if (obstacle := folder.obstacle()) is not None:
        raise ConfigError(f"{obstacle} is a folder, and a file of the run belongs there; remove the folder")


def _check_writable(output_dir: Path) -> None:
    path = [output_dir, *output_dir.absolute().parents]
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in output_dir.parts):
        raise ConfigError(f"output_dir={output_dir}: File name too long; use a shorter one")
    if link := next((folder for folder in path if folder.is_symlink() and not folder.exists()), None):
        raise ConfigError(f"output_dir={output_dir}: {link} is a link that leads nowhere; name another output_dir")
    existing = next(folder for folder in path if folder.exists())
    if not existing.is_dir():
        raise ConfigError(f"output_dir={output_dir}: {existing} is a file, not a folder; name another output_dir")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"output_dir={output_dir}: {existing} is not writable for you; name another output_dir")
