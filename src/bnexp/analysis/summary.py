"""What a person sees when runs are done: a table, and what to do next. Reads run folders only."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from statistics import fmean, stdev
from typing import Any

from rich.table import Column, Table

from bnexp.analysis.few_examples import few_examples, measured
from bnexp.analysis.surroundings import differences
from bnexp.console import Console
from bnexp.training.record import FINISHED, RunFolder
from bnexp.training.seal import DAMAGED, read_result

EXCEPTIONS = {"diverged": ("diverged",), "not done": ("failed", "interrupted", DAMAGED, "missing")}
"""Columns of the table of arms that are there where they are needed, and which statuses they count."""

WHY_NO_SCORE = "No score: the network's outputs for some examples, or their differences, are not finite numbers."


@dataclass(frozen=True)
class Planned:
    """One run of a multirun: the overrides that make its arm, its seed, its folder."""

    arm: tuple[str, ...]
    seed: int
    path: Path

    def result(self) -> dict[str, Any]:
        """Return the run's result; one that has none yet is ``missing``."""
        return read_result(RunFolder(self.path)) or {"status": "missing", "metrics": {}}

    def status(self) -> str:
        """Return the run's status."""
        return str(self.result()["status"])


def result_line(name: str, result: Mapping[str, Any]) -> str:
    """One line about one run."""
    status = result["status"]
    if "error" in result:
        return f"{status:<12}{name}  {result['error']}"
    if not result["metrics"]:
        return f"{status:<12}{name}"
    accuracy, seconds = result["metrics"]["test/accuracy"], result["seconds"]["total"]
    again = "  (finished before; not repeated)" if result.get("repeated") is False else ""
    score = "no score" if accuracy is None else f"test accuracy {accuracy:.4f}"
    return f"{status:<12}{name}  {score}  {seconds:.1f} s{again}"


def print_result(path: Path, result: Mapping[str, Any]) -> None:
    """Print a run's result as a table, where it lies, and what can be done with it."""
    console = _console()
    if result["status"] == "running":
        console.print(f"another process is training this run: {path}")
        return
    if result["status"] == "failed":
        console.print(f"failed: {result['error']}")
        if (written := RunFolder(path).traceback).exists():  # not where the folder was moved, or the disk is full
            console.print(f"traceback: {written}")
        return
    metrics = result["metrics"]
    table = Table("split", "accuracy", "loss", title=f"{path.parent.name}, seed {result['seed']}: {result['status']}")
    table.add_row("validation", _score(metrics["val/accuracy"]), _number(metrics["val/loss"]))
    table.add_row("test", _score(metrics["test/accuracy"]), _number(metrics["test/loss"]))
    epoch = metrics["best/epoch"]
    best = "test at the best validation" + ("" if epoch is None else f" (epoch {epoch:g})")
    table.add_row(best, _score(metrics["best/test/accuracy"]), "")
    console.print(table)
    if metrics["test/accuracy"] is None:
        console.print(WHY_NO_SCORE)
    if result.get("repeated") is False:
        console.print("This run was finished before and was not repeated; add rerun=true to train it again.")
    else:
        seconds = result["seconds"]
        times = f"{seconds['total']:.1f} s ({seconds['train']:.1f} s training)"
        console.print(f"{_counted(result['steps'], 'step')}, {_counted(result['epochs'], 'epoch')} in {times}")
    _print_notes(console, [result])
    console.print(f"run folder: {path}")
    console.print(f"next:       bnexp dashboard {quote(str(path.parent.parent))}")


def print_summary(planned: Sequence[Planned], folder: Path) -> None:
    """Print mean ± standard deviation over seeds for each arm of a multirun, which ``folder`` holds."""
    arms: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for item in {item.path: item for item in planned}.values():  # `seed=0,0` is one run and counts once
        arms.setdefault(item.arm, []).append(item.result())
    every = [result for results in arms.values() for result in results]
    shown = [title for title, statuses in EXCEPTIONS.items() if any(one["status"] in statuses for one in every)]
    table = Table(Column("arm", overflow="fold"), title="mean ± sd over seeds")
    for column in ("n", "test accuracy", "validation accuracy", *shown):
        table.add_column(column, no_wrap=column not in shown)
    for arm, results in arms.items():
        # A diverged run counts with the accuracy that it had at its end: without it the arm would look too good. For
        # the same reason the cell says how many runs have none.
        finished = [result["metrics"] for result in results if result["status"] in FINISHED]
        label = " ".join(_varying(arm, list(arms))) or "(all)"
        test = mean_and_sd([metrics["test/accuracy"] for metrics in finished])
        val = mean_and_sd([metrics["val/accuracy"] for metrics in finished])
        table.add_row(label, str(len(finished)), test, val, *(_counts(results, EXCEPTIONS[title]) for title in shown))
    console = _console()
    console.print(table)
    _print_notes(console, every)
    if any(result["status"] in FINISHED for result in every):
        console.print(f"next:       bnexp compare {quote(str(folder))}")


def _counts(results: Sequence[Mapping[str, Any]], statuses: Sequence[str]) -> str:
    found = [result["status"] for result in results if result["status"] in statuses]
    if len(statuses) == 1:
        return str(len(found) or "")
    return ", ".join(f"{found.count(status)} {status}" for status in dict.fromkeys(found))


def mean_and_sd(values: Sequence[float | None]) -> str:
    """Write the mean, the standard deviation (n − 1) of two values or more, and how many runs have no value."""
    known = [value for value in values if value is not None]
    lacking = len(values) - len(known)
    if not known:
        return "no score" if lacking else "–"
    spread = f" ± {stdev(known):.4f}" if len(known) > 1 else ""
    return f"{fmean(known):.4f}{spread}" + (f" ({lacking} of {len(values)} without score)" if lacking else "")


def _counted(number: float, noun: str) -> str:
    return f"{number:.12g} {noun}{'' if number == 1 else 's'}"


def _print_notes(console: Console, results: Sequence[Mapping[str, Any]]) -> None:
    """Say once what loaders and initializers did that was not asked for in so many words."""
    for note in dict.fromkeys(note for result in results for note in result.get("notes", [])):
        console.print(f"note: {note}")
    for note in few_examples(item for result in results for item in measured(result)):
        console.print(f"note: {note}")
    for line in differences(result for result in results if result["status"] in FINISHED):
        console.print(f"note: {line}")


def _console() -> Console:
    """A file or pipe has no width: a table there must not be cut to that of some terminal."""
    return Console(soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def _varying(arm: tuple[str, ...], arms: Sequence[tuple[str, ...]]) -> list[str]:
    """Leave out the overrides that all arms share."""
    return [word for word in arm if not all(word in other for other in arms)]


def _score(accuracy: float | None) -> str:
    return "no score" if accuracy is None else f"{accuracy:.4f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
