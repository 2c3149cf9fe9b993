"""``bnexp train``: one run, or a Hydra multirun."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bnexp.analysis.multirun import note_run
from bnexp.analysis.summary import Planned, print_result, print_summary, result_line
from bnexp.cli.flags import HYDRA, flags_first, parse, user_dirs
from bnexp.config.compose import compose_run, explaining, jobs_of_multirun, resolved
from bnexp.config.explain import explain, mistake
from bnexp.config.folder import config_dir
from bnexp.errors import ConfigError, Terminated
from bnexp.experiment import prepare
from bnexp.run import run as run_experiment


def run(arguments: Sequence[str]) -> int:
    """Train what the arguments ask for; return the exit status."""
    flags, overrides = parse(arguments, HYDRA, "train")
    folders = user_dirs(flags)
    shows_only = bool({"--cfg", "--info", "--hydra-help", "--version", "--shell-completion"} & flags.keys())
    planned = plan(overrides, folders) if "--multirun" in flags and not shows_only else []
    outcomes: list[str | ConfigError] = []

    def job(config: DictConfig) -> float | None:
        outcome, score = train_one(config)
        outcomes.append(outcome)
        return score

    signal.signal(signal.SIGTERM, _terminate)
    # With its full errors on, Hydra raises instead of printing several lines and exiting with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["bnexp train", *flags_first(arguments)]
    try:
        hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")(job)()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise explain(error, overrides, folders) from error
    except ValueError as error:  # what Hydra raises for `norm=null`, say
        if (line := mistake(overrides, folders)) is None:
            raise
        raise ConfigError(line) from error
    except (KeyboardInterrupt, Terminated):
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise
    finally:
        if planned:
            print_summary(planned)
    if planned:  # launchers train in other processes too: the run folders tell, not this process's outcomes
        outcomes = [item.status() for item in planned]
    elif outcomes and isinstance(outcomes[-1], ConfigError):
        raise outcomes[-1]
    return 1 if {"failed", "missing"} & set(map(str, outcomes)) else 0


def train_one(config: DictConfig) -> tuple[str | ConfigError, float | None]:
    """Train one run, in this process or a launcher's worker.

    Returns:
        The status of the run, or the mistake in its configuration (raised here, Hydra would wrap it in lines of its
        own); and the best validation accuracy, for sweepers that look for the best configuration.
    """
    hydra_config = HydraConfig.get()
    try:
        composed = resolved(config, hydra_config.runtime.choices)
        prepared = prepare(*composed)
        if hydra_config.mode is RunMode.MULTIRUN:
            note_run(Path(hydra_config.runtime.output_dir), prepared.path)
        result = run_experiment(prepared)
    except (ConfigError, OmegaConfBaseException) as problem:
        words = list(hydra_config.overrides.task)
        error = problem if isinstance(problem, ConfigError) else explain(problem, words)
        if hydra_config.mode is RunMode.MULTIRUN:
            print(f"bnexp: {error}", file=sys.stderr)
        return error, None
    if hydra_config.mode is RunMode.MULTIRUN:
        print(result_line(prepared.name, result), flush=True)
    else:
        print_result(prepared.path, result)
    return result["status"], result["metrics"].get("best/val/accuracy")


def plan(overrides: Sequence[str], folders: Sequence[Path]) -> list[Planned]:
    """Check every run of a multirun before the first one starts; ``folders`` are the user's config folders.

    Raises:
        ConfigError: for the first run that cannot work.
    """
    with explaining(overrides, folders):
        jobs = jobs_of_multirun(overrides, folders)
    planned = []
    for words in jobs:
        composed = compose_run(words, folders)
        prepared = prepare(*composed)
        varied = [word for word in words if not word.startswith("seed=")]
        planned.append(Planned(arm=tuple(varied), seed=composed.config["seed"], path=prepared.path))
    return planned


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
