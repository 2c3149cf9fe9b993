"""``bnexp train -m`` through Hydra's launchers and sweepers: what they are to run, and what became of it.

Hydra's own sweeper trains a grid, which is planned beforehand. Any other (``hydra/sweeper=optuna``) searches: which
runs there are is known when it has ended. So each job leaves a line in the multirun's folder, and those are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.types import RunMode
from omegaconf import OmegaConf

from bnexp.analysis.search import WORST, Trial, best_trial, read_best, read_trials
from bnexp.analysis.summary import Planned, print_summary
from bnexp.cli.contract import print_warnings
from bnexp.cli.multirun import plan_multirun, planned
from bnexp.config.compose import compose_replicas, config_loader, explaining
from bnexp.config.targets import show
from bnexp.errors import ConfigError
from bnexp.experiment import prepare
from bnexp.studies.conduct import status
from bnexp.studies.plan import Job
from bnexp.text import say
from bnexp.training.seal import DAMAGED

GRID = f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}"

DIRECTIONS = {"direction": "maximize", "optim.maximize": True, "ax_config.experiment.minimize": False}
"""What sweepers that search call the direction (Optuna's, Nevergrad's, Ax'), and which one is that of an accuracy."""

MOST_SAMPLES = 50

UNDONE = ("failed", "missing", DAMAGED)


class Sweep(NamedTuple):
    """A multirun that Hydra conducts.

    Attributes:
        words: those of the user, and what else Hydra has to be told.
        place: its folder, an absolute path: whoever changes the working folder does not move it.
        shown: the same as the user would write it.
        sweeper: the name of what searches; empty for a grid.
        jobs: the grid's.
    """

    words: list[str]
    place: Path
    shown: Path
    sweeper: str
    jobs: Sequence[Job]

    def planned(self) -> list[Planned]:
        """Return the grid's runs, or those that a search has come to."""
        if not self.sweeper:
            return [planned(job) for job in self.jobs]
        return [run for trial in read_trials(self.place) for run in trial.planned()]

    def print_outcome(self) -> None:
        """Print a table of the arms, and which of a search's trials was best."""
        runs = self.planned()
        if runs:
            print_summary(runs, self.shown)
        if self.sweeper and (trials := read_trials(self.place)):
            say(*_best(self.place, trials))

    def exit_status(self) -> int:
        """Return 1 where a run has no answer."""
        if not self.sweeper:
            return 1 if {*UNDONE} & {status(job) for job in self.jobs} else 0
        trials = read_trials(self.place)
        bad = any(trial.error for trial in trials) or {*UNDONE} & {run.status() for run in self.planned()}
        return 1 if bad or not trials else 0


def plan_sweep(overrides: Sequence[str], folders: Sequence[Path]) -> Sweep:
    """Check what can be checked before the first run: all runs of a grid, one of those that a search may come to.

    Raises:
        ConfigError: where one cannot work, or a search would look for the worst.
    """
    loader = config_loader(folders)
    with explaining(overrides, folders):
        known = loader.get_group_options("hydra/sweeper")
        for word in overrides:
            key, _, name = word.partition("=")
            if key == "hydra/sweeper" and name not in known:
                raise ConfigError(
                    f"{word}: there is no such sweeper here (there are: {', '.join(known)}); "
                    "pip install 'bnexp[optuna]' brings optuna"
                )
        config = loader.load_configuration("train", list(overrides), RunMode.MULTIRUN, from_shell=False)
        sweep_dir = str(config.hydra.sweep.dir)
        sweeper = config.hydra.sweeper
    shown = Path(sweep_dir)
    place = Path.cwd() / shown
    words = [*overrides, f"hydra.sweep.dir={_quoted(str(place))}"]
    if sweeper.get("_target_") == GRID:
        return Sweep(words, place, shown, "", plan_multirun(overrides, folders))
    name = str(config.hydra.runtime.choices["hydra/sweeper"])
    words += _direction(sweeper, overrides)
    with explaining(overrides, folders):
        samples = _samples(overrides, folders)
    experiments = [prepare(*compose_replicas(sample, folders)[0]) for sample in samples]
    print_warnings(line for experiment in experiments for line in experiment.dataset.contract.warnings)
    return Sweep(words, place, shown, name, ())


def _direction(sweeper: Any, overrides: Sequence[str]) -> Iterator[str]:
    """Yield the word that makes a sweeper look for the highest accuracy: several look for the lowest number."""
    for key, right in DIRECTIONS.items():
        found = OmegaConf.select(sweeper, key)
        if found is None:
            continue
        word = next((word for word in overrides if word.lstrip("+").startswith(f"hydra.sweeper.{key}=")), None)
        if word is None:
            yield f"hydra.sweeper.{key}={show(right)}"
        elif getattr(found, "name", found) != right:
            raise ConfigError(
                f"{word}: a sweeper is given the best validation accuracy, of which more is better; take the word out, "
                f"or write hydra.sweeper.{key}={show(right)}"
            )


def _samples(overrides: Sequence[str], folders: Sequence[Path]) -> list[list[str]]:
    """Return the words of some runs that a search may come to, in which each value that is listed stands once.

    Of an interval it is the middle. Of long lists the first :data:`MOST_SAMPLES` are tried.
    """
    parsed = OverridesParser.create(config_loader=config_loader(folders)).parse_overrides(list(overrides))
    columns = [_possible(override) for override in parsed if not override.is_hydra_override()]
    number = max(map(len, columns), default=1)
    return [[column[index % len(column)] for column in columns if column] for index in range(number)]


def _possible(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [str(override.input_line)]
    interval: Any = override.value()
    if isinstance(interval, IntervalSweep):
        low, high = interval.start or 0, interval.end or 0
        middle = (low + high) / 2
        values = [str(int(middle) if isinstance(low, int) and isinstance(high, int) else middle)]
    else:
        values = list(islice(override.sweep_string_iterator(), MOST_SAMPLES))
    return [f"{override.get_key_element()}={value}" for value in values]


def _best(place: Path, trials: Sequence[Trial]) -> Iterator[str]:
    """Say which trial was best: of those that ran now, and of a search that was continued, if that is another."""
    best = best_trial(trials)
    if best is None or best.value is None or best.value <= WORST:
        yield f"best:       none: no trial of {len(trials)} has a score above {WORST:g}"
        return
    telling = [word for word in best.words if not all(word in trial.words for trial in trials)] or best.words
    yield f"best:       {' '.join(telling)} (best validation accuracy {best.value:.4f}, of {len(trials)} trials)"
    before = read_best(place)
    if before is not None and before[1] > best.value:
        words = " ".join(f"{key}={show(value)}" for key, value in before[0].items())
        yield f"before:     {words} ({before[1]:.4f}), the best of all trials of this search, earlier ones included"


def _quoted(text: str) -> str:
    """Return a text in quotes, as Hydra's grammar has them."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
