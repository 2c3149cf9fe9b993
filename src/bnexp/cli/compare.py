"""``bnexp compare``: table, statistics and curves over finished runs. Reads run folders only."""

from __future__ import annotations

import glob
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bnexp.atomic import write_atomically
from bnexp.cli.flags import Flag, parse
from bnexp.cli.listing import defaults
from bnexp.config.home import at_home
from bnexp.errors import ConfigError, did_you_mean
from bnexp.text import say

if TYPE_CHECKING:
    from bnexp.analysis.arms import Arm
    from bnexp.analysis.runs import Run
    from bnexp.analysis.table import Comparison

HELP = """\
usage: bnexp compare [PATH ...] [FLAGS]

Compare finished runs. PATH is a run folder, a folder of runs, or a multirun's folder (outputs if left out); quoted
globs work too. Runs that differ only in their seeds form an arm. The table shows each arm's mean over its runs with its
95 % interval, and its difference to the baseline; runs of different data sets get a table each.

examples:
  bnexp compare                                       all runs below outputs/
  bnexp compare 'outputs/digits-*-momentum' --metric val/loss
  bnexp compare --by init norm                        pool all runs of the same init and norm
  bnexp compare --baseline 'init=default norm=none' --plot curves
  bnexp compare --csv - | column -ts,

flags (--by takes the words up to the next flag, so paths come before it):
  --metric NAME       what to compare: test/accuracy (if left out) or another metric of result.json
  --by KEY ...        make arms of these choices and settings, pooling over all others
  --baseline ARM      the arm to measure against: its label, its number in the table, or words that hold for no other
                      (if left out, the first: arms are sorted with the choices that bnexp train takes first)
  --csv FILE          write a row for each run; - for standard output
  --json              print JSON instead of the table
  --plot PREFIX       draw the learning curves in PREFIX.png and PREFIX.svg
"""


FLAGS = (
    Flag(("--metric",), "NAME"),
    Flag(("--by",), "KEY"),
    Flag(("--baseline",), "ARM"),
    Flag(("--csv",), "FILE"),
    Flag(("--json",)),
    Flag(("--plot",), "PREFIX"),
    Flag(("--help", "-h")),
)


def help_text() -> str:
    """Return what ``bnexp compare --help`` prints."""
    return HELP


def run(arguments: Sequence[str]) -> int:
    """Compare what the arguments name; return the exit status."""
    flags, words = parse(_joined(arguments), FLAGS, "compare")
    if "--json" in flags and flags.get("--csv") == "-":
        raise ConfigError("--csv=-: standard output belongs to --json; name a file")
    metric = flags.get("--metric", "test/accuracy")
    # Numpy and scipy take half a second: a wrong flag is told before.
    from bnexp.analysis.same_data import by_data

    found = _read(words or ["outputs"])
    data_sets = by_data(found.finished, metric)
    several = len(data_sets) > 1
    if several and "--plot" in flags:
        listed = "; ".join(data.label for data in data_sets)
        raise ConfigError(
            f"--plot={flags['--plot']}: the runs are of {len(data_sets)} data sets ({listed}), whose curves do not "
            "belong into one picture; name the folders of one of them"
        )
    every = [_arms(data.runs, flags.get("--by")) for data in data_sets]
    comparisons = [
        _compared(arms, metric, flags.get("--baseline"), data.label if several else "")
        for data, arms in zip(data_sets, every, strict=True)
    ]
    if "--csv" in flags:
        _write_csv(flags["--csv"], _arms(found.finished, flags.get("--by")))
    if "--plot" in flags:
        _plot(flags["--plot"], every[0])
    labels = [data.label for data in data_sets]
    if "--json" in flags:
        _print_json([_as_json(comparison, found) for comparison in comparisons], labels)
    elif flags.get("--csv") != "-":
        _show(comparisons, labels, found.others, is_pooled="--by" in flags)
    return 0


def _compared(arms: Sequence[Arm], metric: str, baseline: str | None, data: str) -> Comparison:
    """Compare the arms of one data set, which ``data`` names where there are several."""
    from bnexp.analysis.arms import find_arm
    from bnexp.analysis.table import compare

    try:
        return compare(arms, metric, arms[0] if baseline is None else find_arm(arms, baseline))
    except ConfigError as error:
        raise ConfigError(f"{error} (among the runs of {data})" if data else str(error)) from error


def _show(
    comparisons: Sequence[Comparison], labels: Sequence[str], others: Mapping[str, int], *, is_pooled: bool
) -> None:
    from bnexp.cli.comparison import show

    if len(comparisons) > 1:
        say(
            f"These runs are of {len(comparisons)} data sets, a table each: an accuracy or a loss on one says nothing "
            "beside that on another."
        )
    for comparison, label in zip(comparisons, labels, strict=True):
        if len(comparisons) > 1:
            say("", label)
        show(comparison, others, is_pooled=is_pooled)


def _print_json(found: Sequence[dict[str, Any]], labels: Sequence[str]) -> None:
    """Print one comparison, or those of each data set in a list."""
    one = found[0] if len(found) == 1 else {"data_sets": [{"data": d, **f} for d, f in zip(labels, found, strict=True)]}
    say(*json.dumps(one, indent=2, default=str).splitlines())  # YAML has dates, JSON has none


class _Found(NamedTuple):
    """What lies at the paths: finished runs, how many have each other status, and a line for each folder left out."""

    finished: list[Run]
    others: Mapping[str, int]
    left_out: list[str]


def _joined(arguments: Sequence[str]) -> list[str]:
    """Make one word of ``--by`` and its keys, and of ``--csv -``."""
    words: list[str] = []
    for argument in arguments:
        previous = words[-1] if words else ""
        if previous == "--csv" and argument == "-":
            words[-1] = "--csv=-"
        elif previous.startswith("--by") and not argument.startswith("-"):
            words[-1] = f"{previous}{',' if '=' in previous else '='}{argument}"
        else:
            words.append(argument)
    return words


def _read(words: Sequence[str]) -> _Found:
    """Read the runs and name on standard error what had to be left out."""
    from bnexp.analysis.arms import distinct
    from bnexp.analysis.multirun import with_listed_runs
    from bnexp.analysis.runs import find_runs
    from bnexp.cli.comparison import counted
    from bnexp.training.record import FINISHED

    runs, left_out = find_runs(with_listed_runs(path for word in words for path in existing_folders(word)))
    finished, copies = distinct(run for run in runs if run.status in FINISHED)
    others = Counter(run.status for run in runs if run.status not in FINISHED)
    for line in left_out + copies:
        say(f"left out: {line}", error=True)
    if not finished:
        counts = f" ({counted(others)})" if others else ""
        raise ConfigError(f"{' '.join(words)}: no finished run{counts}; train something first (bnexp train)")
    return _Found(finished, others, left_out + copies)


def existing_folders(word: str) -> list[Path]:
    """Return the folder, or the folders of a glob, that a word names; raise ConfigError where there is none."""
    word = at_home(word)
    path = Path(word)
    if path.is_dir():
        return [path]
    if path.exists():
        raise ConfigError(f"{word}: not a folder; name a run folder or a folder of runs")
    matches = map(Path, sorted(glob.glob(word, recursive=True)))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if folders := [match for match in matches if match.is_dir()]:
        return folders
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = (
        did_you_mean(path.name, beside) or "; name a run folder or a folder of runs, or train something (bnexp train)"
    )
    raise ConfigError(f"{word}: no such folder{hint}")


def _arms(runs: Sequence[Run], keys: str | None) -> list[Arm]:
    from bnexp.analysis.arms import by_configuration, by_values, in_order

    arms = by_configuration(runs) if keys is None else by_values(runs, keys.split(","))
    return in_order(arms, defaults())


def _write_csv(target: str, arms: Sequence[Arm]) -> None:
    from bnexp.analysis.tidy import as_csv, records

    text = as_csv(records(arms))
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        write_atomically(Path(target), text.encode())
    except OSError as error:
        raise ConfigError(f"--csv={target}: cannot be written ({error.strerror})") from error


def _plot(prefix: str, arms: Sequence[Arm]) -> None:
    from bnexp.analysis.curves import draw, drawable, save

    drawn, left_out = drawable(arms)
    for line in left_out:
        say(f"not drawn: {line}", error=True)
    if not drawn:
        raise ConfigError(f"--plot={prefix}: no run has evaluations to draw")
    try:
        pictures = save(draw(drawn), Path(prefix.removesuffix(".png").removesuffix(".svg")))
    except OSError as error:
        raise ConfigError(f"--plot={prefix}: cannot be written ({error.strerror})") from error
    say(f"curves: {' '.join(map(str, pictures))}", error=True)


def _as_json(comparison: Comparison, found: _Found) -> dict[str, Any]:
    from bnexp.analysis.arms import common, differing, incidental
    from bnexp.analysis.caveats import caveats
    from bnexp.analysis.table import as_json
    from bnexp.training.record import finite

    arms = [row.arm for row in comparison.rows]
    runs = [run for arm in arms for run in arm.runs]
    context = {
        "shared": common(runs),
        "differing": differing(arms),
        "also_differing": incidental(arms),
        "not_finished": found.others,
        "left_out": found.left_out,
    }
    return {**as_json(comparison), "notes": caveats(comparison), **finite(context)}
