"""``bnexp train``: one run, or every combination of choices. Imports PyTorch only where something is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bnexp.cli.contract import announcing
from bnexp.cli.flags import HYDRA, parse, user_dirs
from bnexp.cli.termination import sigterm_raises
from bnexp.errors import Terminated
from bnexp.garbage import importing
from bnexp.text import say
from bnexp.workers import warmed_up


def run(arguments: Sequence[str]) -> int:
    """Train what the arguments ask for; return the exit status."""
    flags, overrides = parse(arguments, HYDRA, "train")
    folders = user_dirs(flags)
    try:
        with sigterm_raises():
            if _is_for_hydra(flags, overrides):
                with importing():
                    from bnexp.cli.through_hydra import run_through_hydra

                return run_through_hydra(flags, overrides, folders)
            if "--multirun" in flags:
                with warmed_up():
                    with importing():
                        from bnexp.cli.multirun import train_all

                    return train_all(overrides, folders)
            return train_one(overrides, folders)
    except (KeyboardInterrupt, Terminated):
        say("interrupted; the same command resumes where it stopped", error=True)
        raise


def train_one(overrides: Sequence[str], folders: Sequence[Path]) -> int:
    """Train one run or its replicas in this process, and show the result; return the exit status."""
    with importing():
        from bnexp.config.compose import compose_replicas
        from bnexp.experiment import prepare
        from bnexp.run import run as train
        from bnexp.training.progress import reporter

    composed = compose_replicas(overrides, folders)
    if len(composed) > 1:
        from bnexp.cli.multirun import train_replicas

        return train_replicas(overrides, composed)
    prepared = prepare(*composed[0])
    result = train(prepared, announcing(prepared.dataset.contract, reporter))
    from bnexp.analysis.summary import print_result  # a table is drawn at the end, and rich imported no sooner

    print_result(prepared.path, result)
    return 1 if result["status"] == "failed" else 0


def _is_for_hydra(flags: Mapping[str, str], overrides: Sequence[str]) -> bool:
    """Whether more of Hydra is wanted than the composition of configurations: its own flags, launchers, sweepers."""
    own = {"--multirun", "--run", "--config-dir"}
    return bool(flags.keys() - own) or any(word.lstrip("+~").startswith("hydra") for word in overrides)
