"""Multiruns that Hydra conducts: a search ends in a table of what ran, and no word of Hydra's loses a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from bnexp.analysis.runs import find_runs
from bnexp.cli.main import main

SMALL = (
    *("dataset=two_features", "dataset.num_examples=100", "model=mlp", "model.width=4", "training.epochs=1"),
    *("training.device=cpu", "training.threads=1"),
)

optuna = pytest.mark.skipif(
    find_spec("optuna") is None or find_spec("hydra_plugins.hydra_optuna_sweeper") is None,
    reason="hydra-optuna-sweeper is not installed (pip install 'bnexp[optuna]')",
)

Ask = Callable[[float | None], str | None]


class Scripted(Sweeper):
    """A sweeper that searches: what it tries next depends on what it was told of the run before."""

    ask: Ask
    told: list[float | None]

    def __init__(self, direction: str, params: Any = None) -> None:
        self.direction = direction

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        Scripted.told = []
        fixed = [word for word in arguments if "interval" not in word]
        word = Scripted.ask(None)
        while word is not None:
            (outcome,) = self.launcher.launch([[*fixed, word]], initial_job_idx=len(Scripted.told))
            Scripted.told.append(outcome.return_value)
            word = Scripted.ask(outcome.return_value)


@dataclass
class ScriptedConfig:
    _target_: str = "hydra_plugins.scripted.Scripted"
    direction: str = "minimize"
    params: Any = None


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Give the sweeper the words that it is to ask for, one after the other."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("hydra_plugins.scripted")  # where Hydra looks for plugins
    monkeypatch.setattr(Scripted, "__module__", module.__name__)
    monkeypatch.setattr(module, "Scripted", Scripted, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    Plugins.instance().register(Scripted)
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="scripted", node=ScriptedConfig)

    def script(*words: str) -> None:
        waiting = iter(words)
        monkeypatch.setattr(Scripted, "ask", staticmethod(lambda _: next(waiting, None)), raising=False)

    yield script
    del store.repo["hydra"]["sweeper"]["scripted.yaml"]
    Plugins.instance().class_name_to_class.pop("hydra_plugins.scripted.Scripted")


def search(*words: str) -> int:
    return main(["train", "-m", "hydra/sweeper=scripted", *SMALL, *words])


def arms(out: str) -> list[str]:
    return [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]


def values(folder: Path) -> dict[float, float]:
    """The best validation accuracy of each run, by its learning rate."""
    runs, left_out = find_runs([folder])
    assert left_out == []
    return {run.config["optimizer"]["lr"]: run.metrics["best/val/accuracy"] for run in runs}


def test_a_search_ends_in_a_table_of_what_ran_with_the_best_trial(scripted, capsys, tmp_path: Path) -> None:
    scripted("optimizer.lr=1e-6", "optimizer.lr=0.3", "optimizer.lr=1e-7")
    assert search("optimizer.lr=interval(0.001,0.5)") == 0
    out = capsys.readouterr().out
    recorded = values(tmp_path / "outputs")
    assert arms(out) == ["optimizer.lr=1e-6", "optimizer.lr=0.3", "optimizer.lr=1e-7"]
    assert "missing" not in out
    assert Scripted.told == [recorded[1e-6], recorded[0.3], recorded[1e-7]]
    best = max(recorded.values())
    assert f"(best validation accuracy {best:.4f}, of 3 trials)" in out
    (folder,) = (tmp_path / "outputs" / "multirun").iterdir()
    assert main(["compare", str(folder)]) == 0


def test_a_run_that_fails_or_cannot_be_is_a_trial_without_a_value_and_the_search_goes_on(scripted, capsys) -> None:
    scripted("optimizer.lr=0.1", "training.timeout=1e-9", "optimizer.lr=-1", "optimizer.lr=1e30", "optimizer.lr=0.2")
    assert search("optimizer.lr=interval(0.001,0.5)") == 1
    printed = capsys.readouterr()
    first, failed, impossible, diverged, last = Scripted.told
    assert failed is None
    assert impossible is None
    assert diverged == 0
    assert "bnexp: optimizer.lr=-1.0 must be greater than 0" in printed.err or "optimizer.lr=-1 must" in printed.err
    assert "Traceback" not in printed.err
    assert f"best validation accuracy {max(first, last):.4f}, of 5 trials" in printed.out


def test_a_search_without_any_score_says_so(scripted, capsys) -> None:
    scripted("optimizer.lr=1e30")
    assert search("optimizer.lr=interval(0.001,0.5)") == 0
    assert "none: no trial of 1 has a score above 0" in capsys.readouterr().out


def test_a_sweeper_that_raises_ends_in_one_line(scripted, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(_: object) -> str:
        raise LookupError("nothing left\nto try")

    monkeypatch.setattr(Scripted, "ask", staticmethod(raises), raising=False)
    assert search("optimizer.lr=interval(0.001,0.5)") == 2
    assert capsys.readouterr().err == "bnexp: hydra/sweeper=scripted: LookupError: nothing left\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("optimizer.lr=interval(-5,-1)", "optimizer.lr=-3.0 must be greater than 0"),
        ("optimizer.lr=interval(-1,0.5)", "optimizer.lr=-0.25 must be greater than 0"),
        ("norm=choice(batch,layer,bn)", "norm=bn: norm has no such choice"),
        (
            "hydra.sweeper.direction=minimize",
            "is given the best validation accuracy, of which more is better",
        ),
        ("hydra.sweeper.direction=maximize optimizer.lr=0", "optimizer.lr=0 must be greater than 0"),
        ("model.width=int(interval(-3,-1))", "model.width=-2 must be at least 1"),
        ("lr=interval(1,2)", "lr"),
    ],
)
def test_a_mistake_is_found_before_the_search_begins(words: str, line: str, scripted, capsys, tmp_path: Path) -> None:
    scripted("optimizer.lr=0.1")
    assert search(*words.split()) == 2
    err = capsys.readouterr().err
    assert line in err
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_highest_accuracy_is_what_is_looked_for(scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def noticed(self: Scripted, direction: str, params: Any) -> None:
        seen.append(direction)

    monkeypatch.setattr(Scripted, "__init__", noticed)
    scripted()
    search("optimizer.lr=interval(0.001,0.5)")
    assert seen == ["maximize"]


def test_a_sweeper_that_is_not_there_says_what_brings_it(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert search("optimizer.lr=interval(0.1,1)") == 2
    assert "hydra/sweeper=scripted: there is no such sweeper here (there are: basic" in capsys.readouterr().err


def test_an_interval_in_a_grid_says_what_to_write(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", *SMALL, "optimizer.lr=interval(0.1,1)"]) == 2
    assert "optimizer.lr=interval(0.1,1): a grid needs values" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_hydra_itself_stumbles_over_is_a_line(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", *SMALL, "hydra.sweeper.params={norm:'none,batch'}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("bnexp: hydra.sweeper.params={norm:'none,batch'}: Hydra cannot take this (")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", [("optimizer.lr=interval(0.1,1)",), ("norm=batch",)])
def test_no_run_is_lost_where_hydra_changes_the_working_folder(words, scripted, capsys, tmp_path: Path) -> None:
    scripted("optimizer.lr=0.1", "optimizer.lr=0.2")
    chdir = ("hydra.job.chdir=true", "hydra.sweep.dir=there", "hydra.sweep.subdir=${hydra.job.num}", "output_dir=o3")
    assert search(*words, *chdir) == 0
    assert len(find_runs([tmp_path / "o3"])[0]) == 2
    assert {place.name for place in tmp_path.iterdir()} == {"o3", "there"}
    assert len((tmp_path / "there" / "runs.txt").read_text().splitlines()) == 2
    assert main(["compare", "there"]) == 0


@pytest.mark.parametrize("flags", [["-m"], []])
def test_nor_is_it_in_a_grid_or_alone(flags: list[str], capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["hydra.job.chdir=true", "hydra.run.dir=alone", "output_dir=o3", "norm=batch"]
    assert main(["train", *flags, *SMALL, *words]) == 0
    assert len(find_runs([tmp_path / "o3"])[0]) == 1
    assert "missing" not in capsys.readouterr().out
    assert not list((tmp_path / "alone").glob("*"))


@optuna
@pytest.mark.filterwarnings("ignore:.* has been deprecated in v:FutureWarning")  # what Optuna says of its own records
def test_optuna_searches_and_resumes_its_study(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = (
        *("train", "-m", "hydra/sweeper=optuna", *SMALL, "norm=choice(none,batch)", "optimizer.lr=interval(0.001,0.5)"),
        *("hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=rates", "hydra.sweeper.storage=sqlite:///rates.db"),
        "hydra.sweeper.sampler.seed=1",
    )
    assert main(words) == 0
    first = capsys.readouterr()
    assert len(arms(first.out)) == 3
    assert "of 3 trials)" in first.out
    assert "FutureWarning" not in first.err
    assert main(words) == 0
    assert len(arms(capsys.readouterr().out)) == 3

    import optuna

    study = optuna.load_study(study_name="rates", storage="sqlite:///rates.db")
    assert len(study.trials) == 6
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    lines = [
        json.loads(line)
        for file in sorted((tmp_path / "outputs" / "multirun").glob("*/trials.jsonl"))
        for line in file.read_text().splitlines()
    ]
    assert [trial.value for trial in study.trials] == [line["value"] for line in lines]
    assert study.best_value == max(line["value"] for line in lines)


@optuna
def test_a_search_in_which_every_run_fails_ends_in_a_line_and_its_table(capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("hydra.sweeper.n_trials=2", "training.timeout=1e-9", "norm=choice(none,batch)")
    assert main(["train", "-m", "hydra/sweeper=optuna", *SMALL, *words]) == 1
    printed = capsys.readouterr()
    assert "2 failed" in printed.out or "1 failed" in printed.out
    assert "none: no trial of 2 has a score" in printed.out
    assert "bnexp: hydra/sweeper=optuna: ValueError: No trials are completed yet.\n" in printed.err
