"""``bnexp train`` with more of Hydra than its configurations: its flags, launchers and sweepers."""

from __future__ import annotations

import os
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import _run_app, get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bnexp.analysis.multirun import note_run
from bnexp.analysis.search import Trial, note_trial, read_trials, search_value
from bnexp.analysis.summary import print_result, result_line
from bnexp.cli.contract import announcing
from bnexp.cli.flags import HYDRA
from bnexp.cli.sweep import plan_sweep
from bnexp.config.compose import config_loader, resolved_replicas
from bnexp.config.explain import explain, mistake
from bnexp.config.home import quoted
from bnexp.config.hydra_words import check_hydra_words
from bnexp.errors import ConfigError
from bnexp.experiment import Experiment, prepare
from bnexp.run import Reporting, run_together
from bnexp.text import harmless_streams, say
from bnexp.training.progress import Silence, reporter
from bnexp.training.seal import DAMAGED

SHOWING = ("--cfg", "--info", "--hydra-help", "--version")
"""Flags that train nothing."""


def run_through_hydra(flags: Mapping[str, str], overrides: Sequence[str], folders: Sequence[Path]) -> int:
    """Let Hydra do what the arguments ask for; return the exit status."""
    _refuse_contradictions(flags)
    check_hydra_words(overrides)
    # With its full errors on, Hydra raises instead of printing several lines and exiting with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    if "--multirun" in flags:
        return _sweep(flags, overrides, folders)
    outcomes: list[str | ConfigError] = []

    def task(config: DictConfig) -> None:
        outcomes.append(train_job(config)[0])

    with _explained(overrides, folders):
        _obey(flags, overrides, folders, task)
    if outcomes and isinstance(outcomes[-1], ConfigError):
        raise outcomes[-1]
    return 1 if {"failed", DAMAGED} & set(map(str, outcomes)) else 0


def _sweep(flags: Mapping[str, str], overrides: Sequence[str], folders: Sequence[Path]) -> int:
    """Let a launcher or a sweeper of Hydra's train many runs; return the exit status."""
    sweep = plan_sweep(overrides, folders)
    place = sweep.place  # launchers carry the task to other processes, and this with it

    def task(config: DictConfig) -> float | None:
        return train_job(config, place)[1]

    try:
        with _explained(overrides, folders), warnings.catch_warnings():
            # The sweeper's plugin calls Optuna by names of yesterday, which is nothing that a user could mend.
            warnings.filterwarnings("ignore", ".* has been deprecated in v", FutureWarning)
            _obey(flags, sweep.words, folders, task)
    except ConfigError:
        raise
    except Exception as error:
        if not sweep.sweeper:
            raise
        # Somebody else's code, and what it makes of its own words: a study's name, a database that is not there.
        what = (str(error).splitlines() or [""])[0]
        line = f"hydra/sweeper={sweep.sweeper}: {type(error).__name__}: {what}"
        if not read_trials(place):
            raise ConfigError(line) from error
        say(f"bnexp: {line}", error=True)
        return 1
    finally:
        sweep.print_outcome()
    return sweep.exit_status()


@contextmanager
def _explained(overrides: Sequence[str], folders: Sequence[Path]) -> Iterator[None]:
    """Turn Hydra's complaints about words into a line."""
    try:
        yield
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise explain(error, overrides, folders) from error
    except (ValueError, TypeError) as error:  # what Hydra raises for `norm=null`, say
        if (line := mistake(overrides, folders)) is None:
            raise
        raise ConfigError(line) from error


def _refuse_contradictions(flags: Mapping[str, str]) -> None:
    found = [name for name in ("--run", "--multirun", *SHOWING) if name in flags]
    if len(found) > 1:
        raise ConfigError(f"{' '.join(found)}: each asks for something else; give one of them")
    for name in ("--resolve", "--package"):
        if name in flags and "--cfg" not in flags:
            raise ConfigError(f"{name}: is about what --cfg shows; add --cfg job")


def _obey(
    flags: Mapping[str, str], overrides: Sequence[str], folders: Sequence[Path], task: Callable[[DictConfig], Any]
) -> None:
    """Do what ``hydra.main`` does with these flags, but with configurations from bnexp's one loader.

    ``hydra.main`` would look into the user's folder last, and take all of Hydra's own part from it.
    """
    if "--version" in flags:
        say(f"Hydra {hydra.__version__}")
        return
    words = list(map(quoted, overrides))
    app = Hydra(task_name="bnexp", config_loader=config_loader(folders))
    GlobalHydra.instance().initialize(app)
    try:
        if "--cfg" in flags:
            _show_config(app, words, flags)
        elif "--info" in flags:
            app.show_info(flags["--info"], "train", words)
        elif "--hydra-help" in flags:
            _show_help(app, words)
        else:
            multirun = "--multirun" in flags
            _run_app(not multirun, multirun, app.get_mode("train", words), app, "train", task, words)
    finally:
        GlobalHydra.instance().clear()


def _show_config(app: Hydra, words: list[str], flags: Mapping[str, str]) -> None:
    package = flags.get("--package")
    try:
        with redirect_stderr(StringIO()) if package else nullcontext():  # Hydra's own line, in other words
            app.show_cfg("train", words, flags["--cfg"], package, "--resolve" in flags)
    except SystemExit as error:
        raise ConfigError(
            f"--package={package}: the configuration has no such part; write a group, norm say"
        ) from error


def _show_help(app: Hydra, words: list[str]) -> None:
    """Show Hydra's help, with those of its flags that bnexp takes."""
    parser = get_args_parser()
    known = {name for flag in HYDRA for name in flag.names}
    parser._actions = [action for action in parser._actions if known.issuperset(action.option_strings)]
    app.hydra_help(None, parser, Namespace(overrides=words))


@harmless_streams()
def train_job(config: DictConfig, multirun: Path | None = None) -> tuple[str | ConfigError, float | None]:
    """Train one run or its replicas, in this process or a launcher's worker.

    Args:
        config: composed by Hydra.
        multirun: the folder of the multirun that the run is part of.

    Returns:
        The status of the run, or the mistake in its configuration (raised here, Hydra would wrap it in lines of its
        own); and what sweepers that look for the best configuration are told (:func:`search_value`).
    """
    hydra_config = HydraConfig.get()
    words: Any = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)
    # With hydra.job.chdir=true Hydra is somewhere else by now; paths are seen from where the user called.
    with chdir(hydra_config.runtime.cwd) if hydra_config.job.chdir else nullcontext():
        try:
            prepared = [prepare(*composed) for composed in resolved_replicas(config, hydra_config.runtime.choices)]
            results = _trained(prepared, multirun)
        except (ConfigError, OmegaConfBaseException) as problem:
            error = problem if isinstance(problem, ConfigError) else explain(problem, words)
            if multirun is not None:
                say(*(f"bnexp: {line}" for line in error.lines), error=True)
                note_trial(multirun, Trial(tuple(words), (), None, error.lines[0]))
            return error, None
        value = search_value(results)
        if multirun is not None:
            runs = tuple((experiment.config["seed"], experiment.path.absolute()) for experiment in prepared)
            note_trial(multirun, Trial(tuple(words), runs, value))
    for experiment, result in zip(prepared, results, strict=True):
        if multirun is not None or len(prepared) > 1:
            say(result_line(experiment.name, result))
        else:
            print_result(experiment.path, result)
    statuses = [result["status"] for result in results]
    return "failed" if "failed" in statuses else statuses[0], value


def _trained(prepared: Sequence[Experiment], multirun: Path | None) -> list[dict[str, Any]]:
    reporting: Reporting = reporter if len(prepared) == 1 else Silence
    if multirun is None:
        reporting = announcing(prepared[0].dataset.contract, reporting)
    else:
        for experiment in prepared:
            note_run(multirun, experiment.path.absolute())
    return run_together(prepared, reporting)
