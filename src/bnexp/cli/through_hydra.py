"""``bnexp train`` with more of Hydra than its configurations: its flags, launchers and sweepers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bnexp.analysis.multirun import note_run
from bnexp.analysis.summary import print_result, print_summary, result_line
from bnexp.cli.contract import announcing
from bnexp.cli.flags import flags_first
from bnexp.cli.multirun import plan_multirun, planned
from bnexp.config.compose import resolved_replicas
from bnexp.config.explain import explain, mistake, refuse_hydra_targets
from bnexp.config.folder import config_dir
from bnexp.errors import ConfigError
from bnexp.experiment import prepare
from bnexp.run import Reporting, run_together
from bnexp.studies.conduct import status
from bnexp.training.progress import Silence, reporter

SHOWING = {"--cfg", "--info", "--hydra-help", "--version", "--shell-completion"}
"""Flags that train nothing."""


def run_through_hydra(
    arguments: Sequence[str], flags: Mapping[str, str], overrides: Sequence[str], folders: Sequence[Path]
) -> int:
    """Let Hydra do what the arguments ask for; return the exit status."""
    refuse_hydra_targets(overrides)
    jobs = plan_multirun(overrides, folders) if "--multirun" in flags and not SHOWING & flags.keys() else []
    outcomes: list[str | ConfigError] = []

    def task(config: DictConfig) -> float | None:
        outcome, score = train_job(config)
        outcomes.append(outcome)
        return score

    # With its full errors on, Hydra raises instead of printing several lines and exiting with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["bnexp train", *flags_first(arguments)]
    try:
        hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")(task)()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise explain(error, overrides, folders) from error
    except (ValueError, TypeError) as error:  # what Hydra raises for `norm=null`, say
        if (line := mistake(overrides, folders)) is None:
            raise
        raise ConfigError(line) from error
    finally:
        if jobs:
            print_summary([planned(job) for job in jobs], Path(jobs[0].composed.config["output_dir"]))
    if jobs:  # launchers train in other processes too: the run folders tell, not this process's outcomes
        outcomes = [status(job) for job in jobs]
    elif outcomes and isinstance(outcomes[-1], ConfigError):
        raise outcomes[-1]
    return 1 if {"failed", "missing"} & set(map(str, outcomes)) else 0


def train_job(config: DictConfig) -> tuple[str | ConfigError, float | None]:
    """Train one run or its replicas, in this process or a launcher's worker.

    Returns:
        The status of the run, or the mistake in its configuration (raised here, Hydra would wrap it in lines of its
        own); and the best validation accuracy, of replicas the mean, for sweepers that look for the best configuration.
    """
    hydra_config = HydraConfig.get()
    try:
        prepared = [prepare(*composed) for composed in resolved_replicas(config, hydra_config.runtime.choices)]
        if hydra_config.mode is RunMode.MULTIRUN:
            for experiment in prepared:
                note_run(Path(hydra_config.runtime.output_dir), experiment.path)
        reporting: Reporting = reporter if len(prepared) == 1 else Silence
        if hydra_config.mode is not RunMode.MULTIRUN:
            reporting = announcing(prepared[0].dataset.contract, reporting)
        results = run_together(prepared, reporting)
    except (ConfigError, OmegaConfBaseException) as problem:
        words: Any = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)
        error = problem if isinstance(problem, ConfigError) else explain(problem, words)
        if hydra_config.mode is RunMode.MULTIRUN:
            print(f"bnexp: {error}", file=sys.stderr)
        return error, None
    for experiment, result in zip(prepared, results, strict=True):
        if hydra_config.mode is RunMode.MULTIRUN or len(prepared) > 1:
            print(result_line(experiment.name, result), flush=True)
        else:
            print_result(experiment.path, result)
    statuses = [result["status"] for result in results]
    scores = [result["metrics"].get("best/val/accuracy") for result in results]
    return "failed" if "failed" in statuses else statuses[0], None if None in scores else fmean(scores)
