"""``bnexp landscape``: the loss around the weights of runs, as maps on one colour scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnexp.atomic import write_atomically
from bnexp.cli.compare import existing_folders
from bnexp.cli.flags import Flag, parse
from bnexp.cli.listing import defaults
from bnexp.errors import ConfigError
from bnexp.ranges import Count, Natural, Positive, violation
from bnexp.text import say

if TYPE_CHECKING:
    from bnexp.analysis.landscape import Landscape, Survey
    from bnexp.analysis.runs import Run

HELP = """\
usage: bnexp landscape RUN ... [FLAGS]

Map the loss around the weights that a run ended with, along two random directions whose filters are as long as the
network's own (Li et al. 2018). RUN is a run folder, a folder of runs, or a multirun's folder; all maps share one colour
scale. The loss is the cross-entropy of training examples in evaluation mode: batch norm goes on with the run's running
statistics. Nothing in the run folders is changed.

examples:
  bnexp landscape outputs/digits-convnet-default-batch-momentum/*-s0
  bnexp landscape 'outputs/digits-convnet-he-*-sgd'    several runs, on one scale
  bnexp landscape outputs --line --grid 101            the two lines alone

flags:
  --plot PREFIX       write PREFIX.png, PREFIX.svg and PREFIX.csv (if left out, landscape in the working folder)
  --grid N            points along each direction, an odd number: 25 if left out; N × N losses for a map
  --range R           how far to go either way: 1.0 if left out, which is as far as the weights are large
  --examples N        training examples of the loss: the first 500 if left out, in the split's own random order
  --directions SEED   draw other directions: 0 if left out
  --line              2 N losses along the two directions alone, and no map
"""

FLAGS = (
    Flag(("--plot",), "PREFIX"),
    Flag(("--grid",), "N"),
    Flag(("--range",), "R"),
    Flag(("--examples",), "N"),
    Flag(("--directions",), "SEED"),
    Flag(("--line",)),
    Flag(("--help", "-h")),
)

NUMBERS: dict[str, tuple[type, Any, float]] = {
    "--grid": (int, Count, 25),
    "--range": (float, Positive, 1.0),
    "--examples": (int, Count, 500),
    "--directions": (int, Natural, 0),
}
"""The flags that take a number: how it is read, the rule it keeps, and what it is if left out."""

MOST_RUNS = 16


def help_text() -> str:
    """Return what ``bnexp landscape --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Map the runs that the arguments name; return the exit status."""
    flags, words = parse(arguments, FLAGS, "landscape")
    numbers = {name: _number(name, flags) for name in NUMBERS}
    if numbers["--grid"] % 2 == 0:
        grid = int(numbers["--grid"])
        raise ConfigError(f"--grid={grid}: must be odd, so that the weights themselves are a point; use {grid + 1}")
    if not words:
        raise ConfigError("landscape: no run is named; write bnexp landscape RUN, a folder below outputs")
    folders = [folder for word in words for folder in existing_folders(word)]
    prefix = Path(flags.get("--plot", "landscape").removesuffix(".png").removesuffix(".svg").removesuffix(".csv"))
    if not prefix.parent.is_dir():
        raise ConfigError(f"--plot={prefix}: there is no folder {prefix.parent}; make it first")
    # Torch and matplotlib take seconds: all other mistakes are told before.
    from bnexp.analysis.curves import save
    from bnexp.analysis.landscape import Survey, as_csv
    from bnexp.analysis.maps import draw

    survey = Survey(
        num_steps=int(numbers["--grid"]),
        reach=numbers["--range"],
        num_examples=int(numbers["--examples"]),
        seed=int(numbers["--directions"]),
        only_lines="--line" in flags,
    )
    landscapes = _measured(_runs(folders), survey)
    try:
        write_atomically(prefix.with_name(f"{prefix.name}.csv"), as_csv(landscapes).encode())
        pictures = save(draw(landscapes), prefix)
    except OSError as error:
        raise ConfigError(f"--plot={prefix}: cannot be written ({error.strerror})") from error
    say(*_table(landscapes))
    say(f"landscape: {' '.join(map(str, pictures))} {prefix}.csv", error=True)
    return 0


def _number(name: str, flags: Mapping[str, str]) -> float:
    kind, rule, default = NUMBERS[name]
    if name not in flags:
        return default
    try:
        value: float | None = kind(flags[name])
    except ValueError:
        value = None
    broken = violation(flags[name] if value is None else value, rule)
    if value is None or broken is not None:
        raise ConfigError(f"{name}={flags[name]} {broken}; leave it out for {default:g}")
    return value


def _runs(folders: Sequence[Path]) -> dict[str, Run]:
    """Read the runs and name them: by what tells their arms apart, and by their seeds where an arm has several."""
    from bnexp.analysis.arms import by_configuration, distinct, in_order
    from bnexp.analysis.multirun import with_listed_runs
    from bnexp.analysis.runs import find_runs

    found, left_out = find_runs(with_listed_runs(folders))
    runs, copies = distinct(found)
    for line in copies:
        say(f"left out: {line}", error=True)
    if left_out:
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        raise ConfigError(f"{left_out[0]}{more}; name runs that are whole")
    if not runs:
        raise ConfigError(f"{' '.join(map(str, folders))}: no run; train something first (bnexp train)")
    if len(runs) > MOST_RUNS:
        raise ConfigError(f"{len(runs)} runs are too many for one picture; name {MOST_RUNS} at most")
    arms = in_order(by_configuration(runs), defaults())
    alone = Counter(run.result["fingerprint"] for run in runs)
    names = {}
    for arm in arms:
        for each in arm.runs:
            label = arm.label if len(arms) > 1 else each.path.resolve().parent.name
            names[label if alone[each.result["fingerprint"]] == 1 else f"{label} seed={each.seed}"] = each
    return names


def _measured(runs: Mapping[str, Run], survey: Survey) -> list[Landscape]:
    from bnexp.analysis.landscape import measure
    from bnexp.analysis.trained import NotFiniteError, load_trained
    from bnexp.data.progress import progress

    trained = {}  # all of them, before the first takes its time
    for label, run in runs.items():
        try:
            trained[label] = load_trained(run)
        except NotFiniteError as error:
            if len(runs) == 1:
                raise
            say(f"left out: {error}", error=True)
    if not trained:
        raise ConfigError("landscape: the weights of none of these runs are finite; lower their learning rate")
    count = len(trained)
    with progress(f"landscape of {count} run{'s' * (count > 1)}", count * survey.num_points) as advance:
        return [measure(one, label, survey, advance) for label, one in trained.items()]


def _table(landscapes: Sequence[Landscape]) -> list[str]:
    """Return a line for each run: the loss where it ended, and what it is around."""
    import numpy as np

    width = max(len("run"), *(len(landscape.label) for landscape in landscapes))
    lines = [f"{'run':<{width}}  {'step':>7}  {'loss there':>10}  {'median around':>13}  {'highest':>9}"]
    for landscape in landscapes:
        around, there = landscape.all_losses, landscape.first[len(landscape.steps) // 2]
        lines.append(
            f"{landscape.label:<{width}}  {landscape.step:>7}  {there:>10.4f}  {np.median(around):>13.4f}"
            f"  {around.max():>9.4g}"
        )
    return lines
