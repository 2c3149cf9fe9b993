"""Training experiments in their run folders: once, or the rest of it, or not again."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from copy import deepcopy
from typing import Any

import torch
import yaml
from filelock import FileLock, Timeout

from bnexp.config.check import schema
from bnexp.config.targets import NUM_INJECTED, build
from bnexp.environment import environment
from bnexp.errors import ConfigError
from bnexp.experiment import Experiment
from bnexp.nn.noise import draw_noise_from_
from bnexp.seeding import derive_seed, generator
from bnexp.training.device import as_current, choose_device, choose_threads
from bnexp.training.graph import GraphedSteps
from bnexp.training.lockstep import train_in_lockstep
from bnexp.training.loop import Training
from bnexp.training.owner import owned
from bnexp.training.progress import Reporter, reporter
from bnexp.training.record import FINISHED, RunFolder
from bnexp.training.state import Parts
from bnexp.training.stretch import Run, take_step_by_step
from bnexp.training.timeout import TimeLimit

Reporting = Callable[[str], AbstractContextManager[Reporter]]
"""Makes a reporter for the run of a name."""


def run(experiment: Experiment, reporting: Reporting = reporter) -> dict[str, Any]:
    """Train an experiment, or the rest of it, or nothing where its result is there; return the result.

    A run that fails has a result too: ``"status": "failed"`` with the error, and the traceback in a file beside it.
    So has one that is interrupted, before the interruption goes on its way. A run that another process is training
    is left to it; its status here is ``running``.

    Raises:
        ConfigError: where the output folder cannot be written.
    """
    return run_together([experiment], reporting)[0]


def run_together(experiments: Sequence[Experiment], reporting: Reporting = reporter) -> list[dict[str, Any]]:
    """Do for each of several experiments, equal but for their seeds, what :func:`run` does for one, in lockstep.

    On a GPU their steps are branches of one graph, elsewhere they take turns. Each has the numbers that it has alone.
    """
    settings = experiments[0].settings
    device = choose_device(settings.device)
    with as_current(device):
        if device.type == "cuda" and settings.graph != "off":
            return _with_graph(experiments, reporting)
        return train_in_lockstep([_run(one, reporting) for one in experiments], take_step_by_step, at_once=1)


def _with_graph(experiments: Sequence[Experiment], reporting: Reporting) -> list[dict[str, Any]]:
    """Train by a CUDA graph. What fails in company is tried once more alone, so that no run fails for another's sake;
    what fails alone, because no graph could be made of its step, once more without, where it need not have one.
    """
    required = experiments[0].settings.graph == "on"
    take = GraphedSteps(required=required)
    results = train_in_lockstep([_run(one, reporting) for one in experiments], take, at_once=len(experiments))
    is_broken = take.is_broken
    del take  # and with it the memory of what has failed
    for index, experiment in enumerate(experiments):
        if results[index]["status"] != "failed":
            continue
        if len(experiments) > 1:
            results[index] = run(experiment, reporting)
        elif is_broken and not required:
            (results[index],) = train_in_lockstep([_run(experiment, reporting)], take_step_by_step, at_once=1)
    return results


def _run(experiment: Experiment, reporting: Reporting) -> Run:
    config, folder = experiment.config, RunFolder(experiment.path)
    if (obstacle := folder.obstacle()) is not None:
        raise ConfigError(f"{obstacle} is a folder, and a file of the run belongs there; remove the folder")
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.lock).acquire(timeout=0)
    except Timeout:
        return {"status": "running", "metrics": {}, "seconds": {}, "seed": config["seed"]}
    except OSError as error:
        raise ConfigError(f"output_dir={config['output_dir']} cannot be written: {error.strerror}") from error
    with lock:
        result = folder.read_result()
        if not config["rerun"] and result is not None and _answers(result, experiment):
            return result | {"repeated": False}
        with owned(folder.owner):
            _start(experiment, folder)
            return (yield from _train(experiment, folder, reporting))


def _answers(result: dict[str, Any], experiment: Experiment) -> bool:
    """Whether the result is a finished one, and of this run: files may have been moved by hand."""
    own = (experiment.fingerprint, experiment.config["seed"])
    return result["status"] in FINISHED and (result.get("fingerprint"), result.get("seed")) == own


def _start(experiment: Experiment, folder: RunFolder) -> None:
    config = experiment.config | {"choices": dict(experiment.choices)}
    try:
        if config["rerun"]:
            folder.clear()
        folder.start(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise ConfigError(f"{error.filename or folder.path} cannot be written: {error.strerror}") from error


def _train(experiment: Experiment, folder: RunFolder, reporting: Reporting) -> Run:
    config = experiment.config
    device = choose_device(experiment.settings.device)
    set_numerics(experiment)
    result: dict[str, Any] = {
        "status": "failed",
        "fingerprint": experiment.fingerprint,
        "seed": config["seed"],
        "examples": experiment.dataset.num_examples,
        "data": experiment.dataset.contract.as_json(),
        "metrics": {},
        "environment": environment(device),
        "notes": list(experiment.notes),
    }
    training: Training | None = None
    limit = TimeLimit(experiment.settings.timeout)
    try:
        with reporting(experiment.name) as told, limit.running():
            training = make_training(experiment, folder, told, limit)
            result |= yield from training.run(_hyperparameters(experiment))
    except (Exception, SystemExit) as error:
        result["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        with suppress(OSError):  # the disk may be what failed
            folder.traceback.write_text(traceback.format_exc(), encoding="utf-8")
    except BaseException:
        result["status"] = "interrupted"
        raise
    finally:
        result |= training.counts() if training else {}
        _finish(folder, result)
    return result


def _finish(folder: RunFolder, result: dict[str, Any]) -> None:
    """Record the result. Where the disk refuses it, the run has failed; the same command goes on with it."""
    try:
        folder.write_result(result)
    except OSError as error:
        result.setdefault("error", f"{type(error).__name__}: {error}")
        if result["status"] in FINISHED:
            result["status"] = "failed"
    if result["status"] in FINISHED:
        with suppress(OSError):
            folder.previous_checkpoint.unlink(missing_ok=True)


def make_training(experiment: Experiment, folder: RunFolder, reporter: Reporter, limit: TimeLimit) -> Training:
    """Put an experiment on its device, ready for the first step or for going on."""
    return Training(
        _parts(experiment, choose_device(experiment.settings.device)),
        experiment.settings,
        seed=experiment.config["seed"],
        name=experiment.path.name,
        folder=folder,
        reporter=reporter,
        limit=limit,
    )


def _parts(experiment: Experiment, device: torch.device) -> Parts:
    config = experiment.config
    model = deepcopy(experiment.model).to(device)  # so that an experiment starts anew, however often it is run
    if len(experiment.dataset.input_shape) == 3:
        model = model.to(memory_format=torch.channels_last)
    shared = generator(config["seed"], "noise", device=device)
    draw_noise_from_(model, shared)
    noise = build(config["noise"], "noise")(model, config["seed"])
    return Parts(
        dataset=experiment.dataset,
        model=model,
        optimizer=build(config["optimizer"], "optimizer")(model),
        schedule=build(config["schedule"], "schedule"),
        loss=build(config["loss"], "loss"),
        augmentation=build(config["augment"], "augment"),
        noise=noise,
        generators={"noise": shared, **noise.generators},
        evaluation=build(config["evaluation"], "evaluation"),
        signals=build(config["signals"], "signals"),
        device=device,
    )


def set_numerics(experiment: Experiment) -> None:
    """Set what PyTorch keeps for the whole process: threads, precision, determinism, the seed of its own generators."""
    torch.set_num_threads(choose_threads(experiment.settings.threads, experiment.dataset.input_shape))
    torch.backends.cudnn.allow_tf32 = experiment.settings.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = experiment.settings.precision == "tf32"
    # Whatever this run wants: PyTorch looks at it once, at the first product on a GPU, for all that follow.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    deterministic = experiment.settings.deterministic
    if torch.are_deterministic_algorithms_enabled() != deterministic:  # setting it imports PyTorch's compiler
        torch.use_deterministic_algorithms(deterministic)
    torch.manual_seed(derive_seed(experiment.config["seed"], "torch"))  # for code that takes no generator


def _hyperparameters(experiment: Experiment) -> dict[str, Any]:
    """What TensorBoard's HParams tab shows: the choices, the seed, and every value that can be set."""
    values: dict[str, Any] = {**experiment.choices, "seed": experiment.config["seed"]}
    for group in NUM_INJECTED:
        known = schema(experiment.config, group)
        values |= {f"{group}.{key}": value for key, value in experiment.config[group].items() if key in known}
    return values
