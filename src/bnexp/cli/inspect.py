"""``bnexp inspect``: signals through a network before its first step, layer by layer. Trains nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bnexp.cli.flags import CONFIG_DIR, Flag, parse, user_dirs
from bnexp.errors import ConfigError
from bnexp.text import say

if TYPE_CHECKING:
    from bnexp.analysis.arms import Arm
    from bnexp.experiment import Experiment
    from bnexp.signals.inspection import Inspection

HELP = """\
usage: bnexp inspect [GROUP=CHOICE ...] [KEY=VALUE ...] [FLAGS]

Send one batch of training examples through the network that bnexp train would train with these words, and its loss
back, and say what happens to the signal on its way: layer by layer, then in words. Nothing is trained.

examples:
  bnexp inspect model.depth=30                        the default init on 30 layers
  bnexp inspect model=mlp model.depth=30 init=xavier --plot xavier
  bnexp inspect -m init=default,xavier,he norm=none,batch model.depth=30 --plot arms
  bnexp inspect model=resnet --json

columns (all but bars are in --json too; a narrow terminal shows fewer):
  weight std, theory  standard deviation of the weight, and what the init's formula promises
  mean, std           of the pre-activations, which the activation function receives; the bar shows std
  gain                variance of the pre-activations over that of the layer before
  zero, dead, flat    activations that are zero; units that are zero throughout; values in flat tails of tanh or sigmoid
  gradient, ratio     length of the weight's gradient, and that over the last layer's
  signal              length of the pre-activations' gradient, which the bar behind it shows
Bars are logarithmic and span three decades or more.

flags:
  -m, --multirun          inspect every combination of comma-separated values: a line for each, and one plot
  --plot PREFIX           draw forward and backward signals over depth in PREFIX.png and PREFIX.svg
  --json                  print JSON instead of a table
  -cd, --config-dir DIR   take choices from DIR too, DIR/init/mine.yaml for instance
"""

FLAGS = (
    Flag(("--multirun", "-m")),
    Flag(("--plot",), "PREFIX"),
    Flag(("--json",)),
    CONFIG_DIR,
    Flag(("--help", "-h")),
)


class Inspected(NamedTuple):
    """One network.

    Attributes:
        arm: what it is called, and the words that tell it from the others.
        inspection: what was measured.
        diagnosis: what that means.
        notes: what the loader and the initializer had to say.
    """

    arm: Arm
    inspection: Inspection
    diagnosis: list[str]
    notes: tuple[str, ...]


def help_text() -> str:
    """Return what ``bnexp inspect --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Inspect what the arguments describe; return the exit status."""
    flags, overrides = parse(arguments, FLAGS, "inspect")
    folders = user_dirs(flags)
    # Torch and Hydra take seconds: a wrong flag is told before.
    from bnexp.cli.inspection import show, show_arms
    from bnexp.config.compose import compose_run, explaining, jobs_of_multirun
    from bnexp.experiment import prepare

    is_multirun = "--multirun" in flags
    with explaining(overrides, folders):
        jobs = jobs_of_multirun(overrides, folders) if is_multirun else [list(overrides)]
    found = [
        _inspected(prepare(*compose_run(job, folders), writes=False), words)
        for job, words in zip(jobs, varied(jobs), strict=True)
    ]
    if "--plot" in flags:
        _plot(flags["--plot"], found)
    if "--json" in flags:
        _print_json(found, is_multirun=is_multirun)
    elif is_multirun:
        show_arms(found)
    else:
        show(found[0])
    return 0


def as_json(inspected: Inspected) -> dict[str, Any]:
    """Return what ``--json`` prints of one network."""
    values = asdict(inspected.inspection)
    order = ("layers", "initial_loss", "expected_initial_loss", "num_examples", "jacobian_singular_values")
    return {**{key: values[key] for key in order}, "diagnosis": inspected.diagnosis, "notes": list(inspected.notes)}


def _print_json(found: Sequence[Inspected], *, is_multirun: bool) -> None:
    from bnexp.training.record import finite

    arms = [{"arm": one.arm.label, **as_json(one)} for one in found]
    say(*json.dumps(finite({"arms": arms} if is_multirun else as_json(found[0])), indent=2).splitlines())


def varied(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the words of each job that not all jobs have."""
    shared = set(jobs[0]).intersection(*jobs)
    return [[word for word in job if word not in shared] for job in jobs]


def _inspected(experiment: Experiment, words: Sequence[str]) -> Inspected:
    from bnexp.analysis.arms import Arm
    from bnexp.config.targets import build
    from bnexp.nn.norm import normalizes_features
    from bnexp.signals.diagnosis import diagnose
    from bnexp.signals.inspection import inspect
    from bnexp.signals.level import probe_size
    from bnexp.training.batches import Scale
    from bnexp.training.device import choose_device

    device = choose_device(experiment.settings.device)
    config, examples = experiment.config, experiment.dataset.train
    size = probe_size(config["signals"]["probe_size"], len(examples), experiment.model)
    inspection = inspect(
        experiment.model.to(device),
        Scale(experiment.dataset, device)(examples.inputs[:size].to(device)),
        examples.labels[:size].to(device),
        build(config["loss"], "loss"),
        # Weights that were loaded are nothing that an init's formula could know.
        init=build(config["init"], "init") if config["model"]["weights"] is None else None,
        activation=build(config["activation"], "activation")(),
        is_normalized=normalizes_features(build(config["norm"], "norm")),
    )
    told = words or [f"{group}={experiment.choices[group]}" for group in ("model", "init", "norm")]
    settings = {key: value for key, _, value in (word.partition("=") for word in told)}
    arm = Arm(" ".join(told), settings, ())
    return Inspected(arm, inspection, diagnose(inspection), experiment.notes)


def _plot(prefix: str, found: Sequence[Inspected]) -> None:
    from bnexp.analysis.curves import save
    from bnexp.analysis.depth import draw_depth

    figure = draw_depth([one.arm for one in found], [one.inspection for one in found])
    try:
        pictures = save(figure, Path(prefix.removesuffix(".png").removesuffix(".svg")))
    except OSError as error:
        raise ConfigError(f"--plot={prefix}: cannot be written ({error.strerror})") from error
    say(f"plot: {' '.join(map(str, pictures))}", error=True)
