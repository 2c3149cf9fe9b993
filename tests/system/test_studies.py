"""A study gives the same numbers wherever it runs."""

from __future__ import annotations

import csv
import importlib
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bnexp.cli.main import main
from tests.system.small_study import WORDS, new_place, results, start

LAUNCHERS = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra.launcher.timeout_min=5"],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2"],
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the study has been run by the basic launcher, in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(new_place(folder))
        assert main([*WORDS, "hydra/launcher=basic"]) == 0
    return folder


@pytest.mark.parametrize(
    "launcher", ["joblib", *(pytest.param(name, marks=pytest.mark.slow) for name in ("submitit_local", "ray"))]
)
def test_every_launcher_gives_the_numbers_of_the_basic_one(launcher: str, undisturbed: Path, tmp_path: Path) -> None:
    module = f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher"
    try:
        importlib.import_module(module)
    except ImportError:
        pytest.skip(f"{module} is not installed")
    process = start(new_place(tmp_path), f"hydra/launcher={launcher}", *LAUNCHERS[launcher])
    assert process.wait(300) == 0, (tmp_path / "said.txt").read_text()
    assert results(tmp_path) == results(undisturbed)
    assert len(results(tmp_path)) == 6


def test_tensorboard_shows_what_curves_csv_says(undisturbed: Path) -> None:
    study = undisturbed / "outputs/studies/small"
    with (study / "curves.csv").open(encoding="utf-8", newline="") as file:
        table = [*csv.DictReader(file)]
    reduce = {"mean": np.mean, "lower": np.min, "upper": np.max}
    for arm in ("norm=none", "norm=batch"):
        mine = [row for row in table if row["arm"] == arm]
        steps = sorted({int(row["step"]) for row in mine})
        for series, function in reduce.items():
            events = EventAccumulator(str(study / "tensorboard" / arm / series)).Reload()
            for tag in ("val/accuracy", "val/loss", "train/accuracy", "train/loss"):
                expected = [function([float(row[tag]) for row in mine if int(row["step"]) == step]) for step in steps]
                assert [event.step for event in events.Scalars(tag)] == steps
                assert [event.value for event in events.Scalars(tag)] == pytest.approx(expected)
    assert {path.name for path in (study / "tensorboard").iterdir()} == {"norm=none", "norm=batch"}
