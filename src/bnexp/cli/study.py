"""``bnexp study``: a named study, from its plan to its verdicts."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from bnexp.cli.flags import CONFIG_DIR, Flag, parse, user_dirs
from bnexp.config.folder import choices, config_dir
from bnexp.errors import ConfigError, Terminated

if TYPE_CHECKING:
    from bnexp.studies.launch import Launch
    from bnexp.studies.plan import Job, Plan

FLAGS = (Flag(("--dry-run",)), CONFIG_DIR, Flag(("--help", "-h")))

HELP = """\
usage: bnexp study NAME [seeds=N] [setting=NAME] [target=VALUE] [GROUP=CHOICE ...] [KEY=VALUE ...] [FLAGS]

Run the arms of a study, each with several seeds, and judge the claims that the study was made for.
Runs that are finished are not repeated: stop it when you like, and the same command goes on.

examples:
  bnexp study case_study                              on the bundled digits, in minutes
  bnexp study case_study --dry-run                    what would be run, what is done, what the rest would cost
  bnexp study case_study seeds=20                     more seeds; those that are done count
  bnexp study case_study setting=cifar10              one of the study's larger settings
  bnexp study case_study training.epochs=30 hydra/launcher=submitit_slurm

studies (bnexp list study says what each asks):
  {studies}

flags (anywhere among the words):
  --dry-run               show the plan and an estimate of time and disk; train nothing
  -cd, --config-dir DIR   take choices from DIR too, and studies from DIR/study/NAME.yaml

The numbers go to outputs/studies/NAME/: study.yaml, results.csv, curves.csv, verdicts.json.
Without hydra/launcher=…, a run per core; on a GPU, one run after another.
"""


def help_text() -> str:
    """Return what ``bnexp study --help`` prints."""
    return HELP.format(studies=" ".join(choices([config_dir()], "study")))


def run(arguments: Sequence[str]) -> int:
    """Run the study that the arguments name; return the exit status."""
    flags, words = parse(arguments, FLAGS, "study")
    folders = user_dirs(flags)
    names = [word for word in words if "=" not in word and word[0] not in "~+"]
    if len(names) != 1:
        known = ", ".join(choices([*folders, config_dir()], "study"))
        raise ConfigError(f"{' '.join(names) or 'study'}: name one study ({known})")
    # Torch and Hydra take seconds: a mistake that can be told without them is told before.
    from bnexp.studies.conduct import missing_jobs
    from bnexp.studies.definition import read_study
    from bnexp.studies.launch import launcher_words, make_launch, num_processes
    from bnexp.studies.plan import make_plan

    words.remove(names[0])
    plan = make_plan(read_study(names[0], folders), words, folders)
    jobs = missing_jobs(plan)
    launcher = launcher_words(plan, len(jobs))
    launch = make_launch(plan, launcher, folders)
    if "--dry-run" in flags:
        from bnexp.studies.probe import estimate_cost
        from bnexp.studies.show import print_plan

        print_plan(plan, estimate_cost(plan, jobs, num_processes(launcher)) if jobs else None)
        return 0
    return _run(plan, jobs, launch)


def _run(plan: Plan, jobs: Sequence[Job], launch: Launch) -> int:
    from bnexp.studies.conduct import conduct, missing_jobs
    from bnexp.studies.record import read_evidence, write_plan, write_results
    from bnexp.studies.show import print_outcome
    from bnexp.studies.verdicts import verdicts
    from bnexp.studies.watch import display, watching

    signal.signal(signal.SIGTERM, _terminate)
    write_plan(plan)
    errors: dict[Path, str] = {}
    if jobs:
        try:
            with display() as shown, watching(jobs, shown):
                shown.say(f"{plan.study.name}: {len(jobs)} of {len(plan.jobs)} runs to do")
                errors = conduct(jobs, launch, shown.say)
        except (KeyboardInterrupt, Terminated):
            done = len(plan.jobs) - len(missing_jobs(plan))
            print(f"stopped: {done} of {len(plan.jobs)} runs are done; the same command goes on", file=sys.stderr)
            raise
    evidence, damaged = read_evidence(plan)
    found = verdicts(plan.study.claims, evidence)
    write_results(plan, evidence, found)
    print_outcome(plan, evidence, found, errors | damaged)
    return 1 if errors or damaged else 0


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
