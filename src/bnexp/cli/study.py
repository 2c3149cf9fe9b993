"""``bnexp study``: a named study, from its plan to its verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.cli.contract import print_warnings
from bnexp.cli.flags import CONFIG_DIR, Flag, parse, user_dirs
from bnexp.cli.termination import sigterm_raises
from bnexp.config.folder import choices, config_dir
from bnexp.errors import ConfigError, Terminated
from bnexp.garbage import importing
from bnexp.text import say
from bnexp.workers import warmed_up

if TYPE_CHECKING:
    from bnexp.studies.launch import Launcher
    from bnexp.studies.plan import Job, Plan

FLAGS = (Flag(("--dry-run",)), CONFIG_DIR, Flag(("--help", "-h")))

HELP = """\
usage: bnexp study NAME [seeds=N] [setting=NAME] [target=VALUE] [GROUP=CHOICE ...] [KEY=VALUE ...] [FLAGS]

Run the arms of a study, each with several seeds, and judge the claims that the study was made for.
Runs that are finished are not repeated: stop it when you like, and the same command resumes.

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

The report, report.html and report.md, goes to outputs/studies/NAME/, with the numbers: results.csv, curves.csv,
verdicts.json. The curves of the arms, means and bands, are shown by bnexp dashboard outputs/studies/NAME.
Without hydra/launcher=…, a run per core; on a GPU, seeds of an arm in lockstep, one arm after another.
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
    words.remove(names[0])
    # Torch and Hydra take seconds: a mistake that can be told without them is told before.
    if "--dry-run" in flags:
        return _show(names[0], words, folders)
    with sigterm_raises(), warmed_up():
        return _run(names[0], words, folders)


def _show(name: str, words: Sequence[str], folders: Sequence[Path]) -> int:
    from bnexp.studies.probe import estimate_cost
    from bnexp.studies.show import print_plan

    plan, jobs, launcher = _planned(name, words, folders)
    print_plan(plan, estimate_cost(plan, jobs, launcher.at_a_time or 1) if jobs else None)
    return 0


def _planned(name: str, words: Sequence[str], folders: Sequence[Path]) -> tuple[Plan, list[Job], Launcher]:
    with importing():
        from bnexp.studies.conduct import missing_jobs
        from bnexp.studies.definition import read_study
        from bnexp.studies.launch import choose_launcher
        from bnexp.studies.plan import make_plan

    plan = make_plan(read_study(name, folders), words, folders)
    print_warnings(warning for arm in plan.arms for warning in arm.warnings)
    jobs = missing_jobs(plan)
    return plan, jobs, choose_launcher(plan, len(jobs), folders)


def _run(name: str, words: Sequence[str], folders: Sequence[Path]) -> int:
    with importing():
        from bnexp.report.outcome import Outcome
        from bnexp.report.write import write_report
        from bnexp.studies.conduct import conduct, status
        from bnexp.studies.launches import record_launch
        from bnexp.studies.record import read_evidence, write_plan, write_results
        from bnexp.studies.show import print_outcome
        from bnexp.studies.tensorboard import write_curves
        from bnexp.studies.verdicts import verdicts
        from bnexp.studies.watch import display, watching
        from bnexp.training.record import FINISHED

    plan, jobs, launcher = _planned(name, words, folders)
    write_plan(plan)
    errors: dict[Path, str] = {}
    if jobs:
        record_launch(plan.folder, launcher, len(jobs))
        try:
            with display() as shown, watching(jobs, shown):
                shown.say(f"{plan.study.name}: {len(jobs)} of {len(plan.jobs)} runs to do")
                errors = conduct(jobs, launcher.launch, shown.say)
        except (KeyboardInterrupt, Terminated):
            done = sum(status(job) in FINISHED for job in plan.jobs)
            say(f"stopped: {done} of {len(plan.jobs)} runs are done; the same command resumes", error=True)
            raise
    evidence, damaged = read_evidence(plan)
    found = verdicts(plan.study.claims, evidence)
    write_results(plan, evidence, found)
    write_curves(plan.folder, evidence)
    print_outcome(plan, evidence, found, errors | damaged)
    # Last: whatever becomes of the drawings, the numbers are on the disk and on the screen.
    say(f"report: {write_report(Outcome(plan, evidence, found, errors | damaged, folders))}")
    return 1 if errors or damaged else 0
