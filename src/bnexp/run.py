"""Training experiments in their run folders: once, or the rest of it, or not again."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import torch
import yaml
from filelock import Timeout

from bnexp.atomic import write_atomically
from bnexp.config.check import schema
from bnexp.config.code import own_digest
from bnexp.config.targets import NUM_INJECTED, build
from bnexp.environment import environment
from bnexp.errors import ConfigError
from bnexp.experiment import Experiment, check_obstacle
from bnexp.files import make_folder, read_bytes
from bnexp.global_generators import seed_global
from bnexp.locking import acquire
from bnexp.nn.noise import draw_noise_from_
from bnexp.seeding import derive_seed, generator
from bnexp.training.device import as_current, choose_device, choose_threads
from bnexp.training.graph import GraphedSteps
from bnexp.training.lockstep import train_in_lockstep
from bnexp.training.loop import Training
from bnexp.training.owner import owned
from bnexp.training.progress import Reporter, reporter
from bnexp.training.record import FINISHED, RECORD_VERSION, RunFolder, chained, read_rows
from bnexp.training.seal import DAMAGED, DamagedRunError, adopt, read_result, seal, whose
from bnexp.training.state import Parts
from bnexp.training.stretch import Run, take_step_by_step
from bnexp.training.timeout import TimeLimit
from bnexp.training.twins import unfinished_twins

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
    check_obstacle(folder)
    try:
        make_folder(folder.path, Path(config["output_dir"]))
        lock = acquire(folder.lock, timeout=0)
    except Timeout:
        return {"status": "running", "metrics": {}, "seconds": {}, "seed": config["seed"]}
    except OSError as error:
        where = "" if error.filename is None else f" ({error.filename})"
        raise ConfigError(f"output_dir={config['output_dir']} cannot be written: {error.strerror}{where}") from error
    with lock:
        _refuse_another_run(experiment, folder)
        with _naming_the_disk(folder):
            adopt(folder)  # a process may have been killed on the way
        result = read_result(folder)
        if not config["rerun"] and result is not None and result["status"] in FINISHED:
            return result | {"repeated": False}
        if not config["rerun"] and result is not None and result["status"] == DAMAGED:
            raise ConfigError(result["error"])
        with owned(folder.owner):
            # A finished record stays whole until there is another finished one to take its place.
            attempt = folder.another() if config["rerun"] else folder
            content = _recorded_config(experiment)
            notes = [] if attempt.checkpoint.exists() else unfinished_twins(folder, content)
            with _naming_the_disk(attempt):
                attempt.start(content)
            result = yield from _train(
                replace(experiment, notes=(*experiment.notes, *notes)), attempt, content, reporting
            )
            if config["rerun"] and result["status"] in FINISHED:
                with _naming_the_disk(folder):
                    adopt(folder)
            return result


def _refuse_another_run(experiment: Experiment, folder: RunFolder) -> None:
    """Raise ConfigError where the folder holds another run: its name has only some of the fingerprint's digits, and
    folders can be moved by hand.
    """
    with suppress(DamagedRunError):
        found = whose(folder)
        if found not in (None, (experiment.fingerprint, experiment.config["seed"])):
            raise ConfigError(
                f"{folder.path}: holds another run, of another configuration, data or code; move that folder away, or "
                "use another output_dir"
            )


def _recorded_config(experiment: Experiment) -> bytes:
    """Return the content of ``config.yaml``: the configuration, and whose it is."""
    own = {"choices": dict(experiment.choices), "fingerprint": experiment.fingerprint}
    return yaml.safe_dump(experiment.config | own, sort_keys=False, allow_unicode=True).encode()


@contextmanager
def _naming_the_disk(folder: RunFolder) -> Iterator[None]:
    """Turn an error of the disk into a line."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{error.filename or folder.path} cannot be written: {error.strerror}") from error


def _train(experiment: Experiment, folder: RunFolder, content: bytes, reporting: Reporting) -> Run:
    """Train in ``folder``, whose ``config.yaml`` is to have this ``content``."""
    set_numerics(experiment)
    result: dict[str, Any] = {
        "status": "failed",
        "record": RECORD_VERSION,
        "fingerprint": experiment.fingerprint,
        "seed": experiment.config["seed"],
        "examples": experiment.dataset.num_examples,
        "data": {**experiment.dataset.contract.as_json(), "digest": experiment.digests["data"]},
        "metrics": {},
        "environment": _surroundings(experiment),
        "notes": list(experiment.notes),
    }
    training: Training | None = None
    limit = TimeLimit(experiment.settings.timeout)
    try:
        with reporting(experiment.name) as told, limit.running():
            training = make_training(experiment, folder, told, limit)
            result |= yield from training.run(_hyperparameters(experiment), result["environment"])
    except (Exception, SystemExit) as error:
        result["error"] = _reason(error, folder)
        with suppress(OSError):  # the disk may be what failed
            write_atomically(folder.traceback, traceback.format_exc().encode(errors="backslashreplace"))
    except BaseException:
        result["status"] = "interrupted"
        raise
    finally:
        result |= training.counts() if training else {}
        _finish(folder, result, content)
    return result


def _reason(error: BaseException, folder: RunFolder) -> str:
    """Say in a line why a run has failed."""
    if isinstance(error, OSError) and not folder.path.is_dir():
        return f"{folder.path} was moved or removed while the run trained; the same command trains it again"
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _finish(folder: RunFolder, result: dict[str, Any], content: bytes) -> None:
    """Record the result and seal the record. Where the disk refuses, the run has failed, and resumes another time."""
    try:
        folder.write_result(result)
        if result["status"] in FINISHED:
            folder.previous_checkpoint.unlink(missing_ok=True)
            _check_own_files(folder, result, content)
            seal(folder, result["fingerprint"], result["seed"])
    except OSError as error:
        result.setdefault("error", f"{type(error).__name__}: {error}")
        if result["status"] in FINISHED:
            result["status"] = "failed"


def _check_own_files(folder: RunFolder, result: Mapping[str, Any], content: bytes) -> None:
    """Raise OSError where a file is not what this process wrote: the seal must not vouch for somebody's edit."""
    rows = reduce(chained, read_rows(folder.metrics), "")
    if rows != result["rows"] or read_bytes(folder.config) != content:
        raise OSError(f"{folder.path}: its files were changed by something else while the run trained")


def make_training(experiment: Experiment, folder: RunFolder, reporter: Reporter, limit: TimeLimit) -> Training:
    """Put an experiment on its device, ready for the first step or to resume."""
    return Training(
        _parts(experiment, choose_device(experiment.settings.device)),
        experiment.settings,
        seed=experiment.config["seed"],
        fingerprint=experiment.fingerprint,
        folder=folder,
        reporter=reporter,
        limit=limit,
    )


def _surroundings(experiment: Experiment) -> dict[str, Any]:
    """Return what is not part of the question and may change the numbers all the same."""
    found = environment(choose_device(experiment.settings.device))
    code = {"code": own_digest(), **{f"code/{name}": digest for name, digest in experiment.plugins.items()}}
    return found | {"compile": experiment.settings.compile} | code


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
    """Set what is kept for the whole process: threads, precision, determinism, the seed of shared generators."""
    torch.set_num_threads(choose_threads(experiment.settings.threads, experiment.dataset.input_shape))
    torch.backends.cudnn.allow_tf32 = experiment.settings.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = experiment.settings.precision == "tf32"
    # Whatever this run wants: PyTorch looks at it once, at the first product on a GPU, for all that follow.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    deterministic = experiment.settings.deterministic
    if torch.are_deterministic_algorithms_enabled() != deterministic:  # setting it imports PyTorch's compiler
        torch.use_deterministic_algorithms(deterministic)
    seed = derive_seed(experiment.config["seed"], "torch")  # for code that takes no generator
    torch.manual_seed(seed)
    seed_global(seed)


def _hyperparameters(experiment: Experiment) -> dict[str, Any]:
    """What TensorBoard's HParams tab shows: the choices, the seed, and every value that can be set."""
    values: dict[str, Any] = {**experiment.choices, "seed": experiment.config["seed"]}
    for group in NUM_INJECTED:
        known = schema(experiment.config, group)
        values |= {f"{group}.{key}": value for key, value in experiment.config[group].items() if key in known}
    return values
