"""Training an experiment in its run folder: once, or the rest of it, or not again."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
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
from bnexp.training.device import choose_device, choose_threads
from bnexp.training.loop import Training
from bnexp.training.progress import Reporter, reporter
from bnexp.training.record import RunFolder
from bnexp.training.state import Parts

FINISHED = ("done", "diverged")
"""Statuses of runs that have an answer; a divergence is one."""


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
    config, folder = experiment.config, RunFolder(experiment.path)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.lock).acquire(timeout=0)
    except Timeout:
        return {"status": "running", "metrics": {}, "seconds": {}, "seed": config["seed"]}
    except OSError as error:
        raise ConfigError(f"output_dir={config['output_dir']} cannot be written: {error.strerror}") from error
    with lock:
        result = folder.read_result()
        if config["rerun"]:
            folder.clear()
        elif result is not None and result["status"] in FINISHED:
            return result | {"repeated": False}
        return _train(experiment, folder, reporting)


def _train(experiment: Experiment, folder: RunFolder, reporting: Reporting) -> dict[str, Any]:
    config = experiment.config
    folder.start(yaml.safe_dump(config | {"choices": dict(experiment.choices)}, sort_keys=False, allow_unicode=True))
    device = choose_device(experiment.settings.device)
    _set_numerics(experiment)
    result: dict[str, Any] = {
        "status": "failed",
        "fingerprint": experiment.fingerprint,
        "seed": config["seed"],
        "metrics": {},
        "environment": environment(device),
        "notes": list(experiment.notes),
    }
    training: Training | None = None
    try:
        with reporting(experiment.name) as told:
            training = Training(
                _parts(experiment, device),
                experiment.settings,
                seed=config["seed"],
                fingerprint=experiment.path.name,
                folder=folder,
                reporter=told,
            )
            result |= training.run(_hyperparameters(experiment))
    except (Exception, SystemExit) as error:
        result["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        folder.traceback.write_text(traceback.format_exc(), encoding="utf-8")
    except BaseException:
        result["status"] = "interrupted"
        raise
    finally:
        folder.write_result(result | (training.counts() if training else {}))
    return result | training.counts() if training else result


def _parts(experiment: Experiment, device: torch.device) -> Parts:
    config = experiment.config
    model = experiment.model.to(device)
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
        device=device,
    )


def _set_numerics(experiment: Experiment) -> None:
    torch.set_num_threads(choose_threads(experiment.settings.threads, experiment.dataset.input_shape))
    torch.set_flush_denormal(True)  # denormals slow small nets on CPUs by an order of magnitude
    torch.backends.cudnn.allow_tf32 = experiment.settings.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = experiment.settings.precision == "tf32"
    torch.manual_seed(derive_seed(experiment.config["seed"], "torch"))  # for code that takes no generator


def _hyperparameters(experiment: Experiment) -> dict[str, Any]:
    """What TensorBoard's HParams tab shows: the choices, the seed, and every value that can be set."""
    values: dict[str, Any] = {**experiment.choices, "seed": experiment.config["seed"]}
    for group in NUM_INJECTED:
        known = schema(experiment.config, group)
        values |= {f"{group}.{key}": value for key, value in experiment.config[group].items() if key in known}
    return values
