"""One run, from a checked configuration to its result.

:func:`prepare` reads and checks everything and writes nothing; :func:`run` trains in the run folder.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout
from torch import nn

from bnexp.config.check import Config, check, schema
from bnexp.config.fingerprint import fingerprint, run_path
from bnexp.config.targets import NUM_INJECTED, build, parameters, resolve
from bnexp.data.dataset import Dataset, Source
from bnexp.data.split import split
from bnexp.environment import environment
from bnexp.errors import ConfigError
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.noise import draw_noise_from_
from bnexp.seeding import derive_seed, generator
from bnexp.training.batches import Scale
from bnexp.training.device import choose_device, choose_threads
from bnexp.training.loop import Training
from bnexp.training.progress import reporter
from bnexp.training.record import RunFolder
from bnexp.training.settings import Settings
from bnexp.training.state import Parts

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
    values = {key: config["dataset"][key] for key in parameters(split, 2)}
    dataset = split(source, generator(config["seed"], "split"), **values)
    _check_batches(config, choices, settings, dataset)
    model, notes = _build_model(config, dataset)
    _check_shapes(model, choices, _batch_size(settings, dataset), dataset)
    path = run_path(config, choices, source.digest)
    notes = (*source.notes, *notes)
    return Experiment(config, choices, settings, dataset, model, notes, path, fingerprint(config, source.digest))


def run(experiment: Experiment) -> dict[str, Any]:
    """Train an experiment, or the rest of it, or nothing where its result is there; return the result.

    A run that fails has a result too: ``"status": "failed"``, with the error, and the traceback in a file beside it.
    So has one that is interrupted, before the interruption goes on its way.
    """
    folder = RunFolder(experiment.path)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.lock, timeout=0)
        lock.acquire()
    except Timeout:
        return {"status": "running", "metrics": {}, "seconds": {}, "seed": experiment.config["seed"]}
    except OSError as error:
        raise ConfigError(
            f"output_dir={experiment.config['output_dir']} cannot be written: {error.strerror}"
        ) from error
    with lock:
        result = folder.read_result()
        if result is not None and result["status"] in ("done", "diverged") and not experiment.config["rerun"]:
            return result | {"repeated": False}
        if experiment.config["rerun"] or result is None or result["status"] == "failed":
            _clear_unless_resumable(folder, experiment)
        return _train(experiment, folder)


def _clear_unless_resumable(folder: RunFolder, experiment: Experiment) -> None:
    if experiment.config["rerun"] or not folder.checkpoint.exists():
        folder.clear()


def _train(experiment: Experiment, folder: RunFolder) -> dict[str, Any]:
    config = experiment.config
    folder.config.write_text(
        yaml.safe_dump(config | {"choices": dict(experiment.choices)}, sort_keys=False, allow_unicode=True)
    )
    device = choose_device(experiment.settings.device)
    _set_numerics(experiment)
    result: dict[str, Any] = {
        "status": "failed",
        "fingerprint": experiment.fingerprint,
        "seed": config["seed"],
        "metrics": {},
        "epochs": 0.0,
        "steps": 0,
        "seconds": {"train": 0.0, "total": 0.0},
        "environment": environment(device),
        "notes": list(experiment.notes),
    }
    try:
        with reporter(experiment.name) as told:
            training = Training(
                _parts(experiment, device),
                experiment.settings,
                seed=config["seed"],
                fingerprint=f"{experiment.fingerprint}-s{config['seed']}",
                folder=folder,
                reporter=told,
            )
            result |= training.run(_hyperparameters(experiment))
    except (Exception, SystemExit) as error:
        result["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        folder.traceback.write_text(traceback.format_exc())
    except BaseException:
        folder.write_result(result | {"status": "interrupted"})
        raise
    folder.write_result(result)
    return result


def _parts(experiment: Experiment, device: torch.device) -> Parts:
    config = experiment.config
    model = experiment.model.to(device)
    if len(experiment.dataset.input_shape) == 3:
        model = model.to(memory_format=torch.channels_last)
    noise = generator(config["seed"], "noise", device=device)
    draw_noise_from_(model, noise)
    return Parts(
        dataset=experiment.dataset,
        model=model,
        optimizer=build(config["optimizer"], "optimizer")(model),
        schedule=build(config["schedule"], "schedule"),
        augmentation=build(config["augment"], "augment"),
        noise=noise,
        device=device,
    )


def _set_numerics(experiment: Experiment) -> None:
    torch.set_num_threads(choose_threads(experiment.settings.threads, experiment.dataset.input_shape))
    torch.set_flush_denormal(True)  # denormals slow small nets on CPUs by an order of magnitude
    torch.manual_seed(derive_seed(experiment.config["seed"], "torch"))  # for code that takes no generator


def _hyperparameters(experiment: Experiment) -> dict[str, Any]:
    """What TensorBoard's HParams tab shows: the choices, the seed, and every value that can be set."""
    values: dict[str, Any] = {**experiment.choices, "seed": experiment.config["seed"]}
    for group in NUM_INJECTED:
        known = schema(experiment.config, group)
        values |= {f"{group}.{key}": value for key, value in experiment.config[group].items() if key in known}
    return values


def _source(config: Config) -> Source:
    return _cached_source(json.dumps(config["dataset"], sort_keys=True))


@lru_cache(maxsize=2)
def _cached_source(node: str) -> Source:
    """Read a dataset once for all runs of a process."""
    dataset = json.loads(node)
    source: Source = build(dataset, "dataset", only=parameters(resolve(dataset["_target_"], "dataset"), 0))
    return source


def _build_model(config: Config, dataset: Dataset) -> tuple[nn.Module, tuple[str, ...]]:
    activation = build(config["activation"], "activation")
    norm = build(config["norm"], "norm")
    num_classes = len(dataset.classes)
    model: nn.Module = build(config["model"], "model")(dataset.input_shape, num_classes, activation, norm)
    context = Context(
        activation=activation(),
        generator=generator(config["seed"], "init"),
        inputs=Scale(dataset, torch.device("cpu"))(dataset.train.inputs[:PROBE_SIZE]),
    )
    return model, initialize_(model, build(config["init"], "init"), context)


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
    if plan is not None and len(dataset.input_shape) != 3:
        raise ConfigError(
            f"augment={choices['augment']} needs images; dataset={choices['dataset']} has rows: use augment=none"
        )


def _check_shapes(model: nn.Module, choices: Mapping[str, str], batch_size: int, dataset: Dataset) -> None:
    """Send shapes without data through the network, as in a training step."""
    shapes = torch.empty(batch_size, *dataset.input_shape, device="meta")
    try:
        deepcopy(model).to("meta").train()(shapes)
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
