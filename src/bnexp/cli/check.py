"""``bnexp check``: the first steps before an experiment, a line each, pass or fail."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from bnexp.cli.contract import class_counts, full
from bnexp.cli.flags import CONFIG_DIR, Flag, parse, user_dirs
from bnexp.errors import ConfigError
from bnexp.text import say

if TYPE_CHECKING:
    from torch import nn

    from bnexp.experiment import Experiment
    from bnexp.signals.baselines import Baselines
    from bnexp.signals.first_steps import Task
    from bnexp.signals.overview import Overview
    from bnexp.signals.recipe import Check
    from bnexp.training.batches import TrainingBatches

HELP = """\
usage: bnexp check [GROUP=CHOICE ...] [KEY=VALUE ...] [FLAGS]

Look at the data, at what one gets without a network, and at the first steps of the network that bnexp train would
train with these words. Each check is a line: pass or fail, the measured number, and the rule. Nothing is trained to
an end and no run folder is written; the picture of the examples is the only file. Exit status 1 if a check fails.

examples:
  bnexp check                                         the defaults, on the bundled digits
  bnexp check dataset=cifar10 augment=crop_flip norm=batch
  bnexp check init=zeros --json

checks:
  input scale      inputs come in units that a network can work with
  identifiers      no column of a table numbers or names its rows
  separate splits  validation and test hold no training examples
  initial loss     an untrained network is no surer than chance: about ln(classes)
  gradient flow    every parameter gets a gradient
  one batch        the optimizer learns one batch by heart
  train and eval   both modes answer alike once running statistics have settled (dropout is off throughout)

flags:
  --plot PREFIX           draw training examples, augmented, in PREFIX.png and PREFIX.svg (if left out, check
                          in the working folder)
  --json                  print JSON instead of lines
  -cd, --config-dir DIR   take choices from DIR too, DIR/norm/mine.yaml for instance
"""

FLAGS = (Flag(("--plot",), "PREFIX"), Flag(("--json",)), CONFIG_DIR, Flag(("--help", "-h")))

MOST_EXAMPLES = 128
"""Of the one batch: more only takes longer."""

INDENT = 23


def help_text() -> str:
    """Return what ``bnexp check --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Check what the arguments describe; return the exit status: 1 if a check fails."""
    flags, overrides = parse(arguments, FLAGS, "check")
    folders = user_dirs(flags)
    prefix = Path(flags.get("--plot", "check").removesuffix(".png").removesuffix(".svg"))
    if not prefix.parent.is_dir():
        raise ConfigError(f"--plot={prefix}: there is no folder {prefix.parent}; make it first")
    # Torch and Hydra take seconds: a wrong flag is told before.
    from bnexp.config.compose import compose_run
    from bnexp.experiment import prepare
    from bnexp.signals.baselines import baselines
    from bnexp.signals.overview import overview

    experiment = prepare(*compose_run(overrides, folders), writes=False)
    pictures = _draw(experiment, prefix)
    data = overview(experiment.dataset)
    least = baselines(experiment.dataset.train, experiment.dataset.val)
    checks = _checks(experiment, data)
    if "--json" in flags:
        say(*json.dumps(_as_json(experiment, data, least, checks, pictures), indent=2).splitlines())
    else:
        say(*_lines(experiment, data, least, checks))
        say(f"examples: {' '.join(map(str, pictures))}", error=True)
    return 0 if all(check.passed for check in checks) else 1


def _checks(experiment: Experiment, data: Overview) -> list[Check]:
    """Try the network's first steps, on copies of it."""
    from bnexp.config.targets import build
    from bnexp.signals import first_steps, recipe

    task = _task(experiment)
    initial_loss = first_steps.initial_loss_(_copy(experiment), task)
    model = _copy(experiment)
    optimizer = build(experiment.config["optimizer"], "optimizer")(model)
    fit = first_steps.fit_(
        model,
        task,
        optimizer,
        num_steps=recipe.FIT_STEPS,
        gradient_steps=recipe.GRADIENT_STEPS,
        seconds=recipe.FIT_SECONDS,
    )
    agreement = first_steps.agreement_(model, task, num_passes=recipe.SETTLING_PASSES, seconds=recipe.SETTLING_SECONDS)
    return [
        recipe.check_scale(data),
        recipe.check_identifiers(experiment.dataset.contract),
        recipe.check_leakage(data),
        recipe.check_initial_loss(initial_loss, len(experiment.dataset.classes)),
        recipe.check_gradients(fit, sum(parameter.requires_grad for parameter in model.parameters())),
        recipe.check_fit(fit, len(task.labels)),
        recipe.check_agreement(agreement),
    ]


def _task(experiment: Experiment) -> Task:
    """Return the run's first batch, as it is without augmentation, and what is asked of it, on the run's device."""
    from bnexp.config.targets import build
    from bnexp.signals.first_steps import Task
    from bnexp.training.device import choose_device
    from bnexp.training.step import autocast

    settings = experiment.settings
    device = choose_device(settings.device)
    inputs, labels = _batches(experiment, augmented=False).at(0)
    return Task(
        inputs=inputs[:MOST_EXAMPLES].to(device),
        labels=labels[:MOST_EXAMPLES].to(device),
        loss=build(experiment.config["loss"], "loss"),
        gradient_clip=settings.gradient_clip,
        autocast=autocast(settings, device),
    )


def _copy(experiment: Experiment) -> nn.Module:
    """Return the network as training would start with it, on the run's device, without dropout."""
    from copy import deepcopy

    import torch

    from bnexp.nn.noise import draw_noise_from_
    from bnexp.seeding import generator
    from bnexp.signals.first_steps import without_dropout_
    from bnexp.training.device import choose_device

    device = choose_device(experiment.settings.device)
    model = deepcopy(experiment.model).to(device)
    if len(experiment.dataset.input_shape) == 3:
        model = model.to(memory_format=torch.channels_last)
    draw_noise_from_(model, generator(experiment.config["seed"], "noise", device=device))
    return without_dropout_(model)


def _batches(experiment: Experiment, *, augmented: bool) -> TrainingBatches:
    """Return the training batches on the CPU: the run's own, or with plain labels and inputs."""
    import torch

    from bnexp.config.targets import build
    from bnexp.data.augment import none
    from bnexp.training.batches import Scale, TrainingBatches

    dataset, settings = experiment.dataset, experiment.settings
    return TrainingBatches(
        dataset.train,
        Scale(dataset, torch.device("cpu")),
        build(experiment.config["augment"], "augment") if augmented else none,
        num_classes=len(dataset.classes),
        label_smoothing=0.0,
        batch_size=settings.num_in_batch(len(dataset.train)),
        seed=experiment.config["seed"],
    )


def _draw(experiment: Experiment, prefix: Path) -> list[Path]:
    from torch import cat, device

    from bnexp.analysis.curves import save
    from bnexp.analysis.samples import MOST_IMAGES, draw_features, draw_images

    dataset = experiment.dataset
    if len(dataset.input_shape) == 3:
        batches = _batches(experiment, augmented=True)
        num_batches = min(-(-MOST_IMAGES // batches.batch_size), batches.steps_per_epoch)
        inputs, targets = zip(*map(batches.at, range(num_batches)), strict=True)
        figure = draw_images(cat(inputs), cat(targets), dataset)
    else:
        from bnexp.training.batches import Scale

        figure = draw_features(Scale(dataset, device("cpu"))(dataset.train.inputs), dataset.train.labels, dataset)
    try:
        return save(figure, prefix)
    except OSError as error:
        raise ConfigError(f"--plot={prefix}: cannot be written ({error.strerror})") from error


def _as_json(
    experiment: Experiment, data: Overview, least: Baselines, checks: Sequence[Check], pictures: Sequence[Path]
) -> dict[str, Any]:
    from bnexp.training.record import finite

    found: dict[str, Any] = finite(
        {
            "data": asdict(data),
            "contract": experiment.dataset.contract.as_json(),
            "notes": [*experiment.notes, *_few(data, least)],
            "baselines": least._asdict(),
            "checks": [check._asdict() for check in checks],
            "passed": all(check.passed for check in checks),
            "pictures": [str(picture) for picture in pictures],
        }
    )
    return found


def _lines(experiment: Experiment, data: Overview, least: Baselines, checks: Sequence[Check]) -> list[str]:
    """Return the report; a terminal's lines are broken to its width, those of a pipe are whole."""
    rows = [*_facts(experiment, data, least), ("", "")]
    for check in checks:
        advice = "" if check.passed else f". {check.advice[0].upper()}{check.advice[1:]}"
        rows.append(
            (f"{'pass' if check.passed else 'FAIL'}  {check.name}", f"{check.measured} (rule: {check.rule}){advice}")
        )
    width = max(shutil.get_terminal_size().columns, 60) if sys.stdout.isatty() else 10_000
    return [line for head, text in rows for line in _broken(head, text, width)]


def _facts(experiment: Experiment, data: Overview, least: Baselines) -> list[tuple[str, str]]:
    stored, seen = data.stored, data.seen
    facts = [
        *full(experiment.dataset.contract),
        ("classes (training)", class_counts(data.counts["train"])),
        ("inputs as stored", f"{stored.low:.4g} to {stored.high:.4g}, mean {stored.mean:.4g}, std {stored.std:.4g}"),
        ("as the network sees", f"{seen.low:.4g} to {seen.high:.4g}, mean {seen.mean:.4g}, std {seen.std:.4g}"),
        (
            "repeated in training",
            f"{data.duplicates['train']} examples; features that are constant: {data.num_constant}",
        ),
        ("majority baseline", f"accuracy {least.majority:.4f} (validation)"),
        ("linear baseline", f"accuracy {least.linear:.4f} (logistic regression on {least.num_linear} examples)"),
    ]
    return facts + [("note", note) for note in (*experiment.notes, *_few(data, least))]


def _few(data: Overview, least: Baselines) -> list[str]:
    """Say so where validation or test examples are too few to tell an accuracy such as the linear baseline's."""
    from bnexp.analysis.few_examples import SPLITS, Measured, few_examples
    from bnexp.analysis.statistics.guessing import Answers

    sizes = {split: sum(data.counts[split].values()) for split in SPLITS}
    return few_examples(Measured(split, Answers(least.linear, size)) for split, size in sizes.items())


def _broken(head: str, text: str, width: int) -> list[str]:
    lines = wrap(text, width - INDENT - 1, break_on_hyphens=False) or [""]
    return [f"{head if number == 0 else '':<{INDENT}} {line}".rstrip() for number, line in enumerate(lines)]
