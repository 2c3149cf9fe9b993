"""``~`` is the home folder wherever a path is given, and never a folder of that name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bnexp.cli.main import main

Capture = pytest.CaptureFixture[str]

SMALL = [
    "dataset=csv",
    "dataset.target=y",
    "model=mlp",
    "model.hidden=[4]",
    "training.epochs=1",
    "training.batch_size=16",
    "signals=off",
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a table in it; the working folder is another one, and stays without a folder ``~``."""
    (tmp_path / "home" / "mine" / "norm").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    rows = "".join(f"{n * 0.7 % 3},{n * 0.3 % 2},{'ab'[n % 2]}\n" for n in range(80))
    (tmp_path / "home" / "table.csv").write_text(f"u,v,y\n{rows}")
    (tmp_path / "home" / "mine" / "norm" / "plain.yaml").write_text("_target_: bnexp.nn.norms.none\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def results(folder: Path) -> list[Path]:
    return sorted(folder.rglob("result.json"))


def test_paths_of_a_run_begin_at_home(home: Path) -> None:
    words = [*SMALL, "dataset.path=~/table.csv", "output_dir=~/runs"]
    assert main(["train", *words]) == 0
    [result] = results(home / "runs")
    recorded = yaml.safe_load((result.parent / "config.yaml").read_text())
    assert recorded["output_dir"] == f"{home}/runs"
    assert recorded["dataset"]["path"] == f"{home}/table.csv"
    assert main(["train", *words, f"model.weights=~/runs/{result.parent.relative_to(home / 'runs')}"]) == 0
    assert len(results(home / "runs")) == 2
    assert list(Path().iterdir()) == []


def test_where_a_file_lies_is_no_part_of_the_question(home: Path) -> None:
    assert main(["train", *SMALL, "dataset.path=~/table.csv", "output_dir='~/runs'"]) == 0
    assert main(["train", *SMALL, f"dataset.path={home}/table.csv", f"output_dir={home}/runs"]) == 0
    assert len(results(home / "runs")) == 1


@pytest.mark.parametrize("flags", [["-m"], ["-m", "hydra/launcher=basic"]], ids=["bnexp's", "Hydra's"])
def test_a_multiruns_own_folder_begins_at_home(flags: list[str], home: Path) -> None:
    assert main(["train", *flags, *SMALL, "dataset.path=~/table.csv", "output_dir=~/runs", "seed=0,1"]) == 0
    assert len(results(home / "runs")) == 2
    assert len(list((home / "runs" / "multirun").iterdir())) == 1
    assert list(Path().iterdir()) == []


def test_hydras_folder_of_a_sweep_begins_at_home(home: Path) -> None:
    words = [*SMALL, "dataset.path=~/table.csv", "output_dir=~/runs", "seed=0,1", "hydra.sweep.dir=~/sweep"]
    assert main(["train", "-m", *words]) == 0
    assert (home / "sweep").is_dir()
    assert list(Path().iterdir()) == []


def test_a_path_in_a_choice_and_in_the_environment_begins_at_home(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (home / "mine" / "dataset").mkdir()
    choice = "_target_: bnexp.data.csv.csv\npath: ~/table.csv\ntarget: y\ndrop: []\nheader: auto\ndecimal: auto\n"
    (home / "mine" / "dataset" / "own.yaml").write_text(f"defaults: [_split, _self_]\n{choice}")
    assert main(["summary", "--config-dir", "~/mine", "dataset=own", "model=mlp", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["input_shape"] == [2]
    monkeypatch.setenv("BNEXP_DATA", "~/data")
    (home / "data").write_text("a file where a folder is looked for")
    assert main(["summary", "dataset=mnist"]) == 2
    assert f"{home}/data" in capsys.readouterr().err


def test_the_words_of_other_commands_begin_at_home(home: Path, capsys: Capture) -> None:
    assert main(["train", "-m", *SMALL, "dataset.path=~/table.csv", "output_dir=~/runs", "seed=0,1"]) == 0
    assert main(["compare", "~/runs", "--csv", "~/runs.csv", "--plot=~/curves"]) == 0
    assert (home / "runs.csv").is_file()
    assert (home / "curves.png").is_file()
    capsys.readouterr()
    assert main(["status", "~/runs", "--once"]) == 0
    assert "2 runs: 2 done" in capsys.readouterr().out
    assert main(["clean", "~/runs", "--yes"]) == 0
    run = results(home / "runs")[0].parent.relative_to(home)
    assert main(["landscape", f"~/{run}", "--line", "--grid", "3", "--plot", "~/map"]) == 0
    assert (home / "map.csv").is_file()
    assert main(["list", "norm", "-cd", "~/mine"]) == 0
    assert "plain" in capsys.readouterr().out
    assert list(Path().iterdir()) == []


NOBODY = {
    ("train", "output_dir=~nobody-here/x"): "output_dir=~nobody-here/x: there is no home folder ~nobody-here",
    ("train", "dataset=csv", "dataset.path=~nobody-here/x.csv"): "dataset.path=~nobody-here/x.csv: there is no home",
    ("train", "-m", "seed=0,1", "hydra.sweep.dir=~nobody-here/x"): "hydra.sweep.dir=~nobody-here/x: there is no home",
    ("train", "model.weights=~nobody-here/x"): "model.weights=~nobody-here/x: there is no home",
    ("compare", "~nobody-here/x"): "~nobody-here/x: there is no home",
    ("status", "~nobody-here"): "~nobody-here: there is no home",
    ("dashboard", "~nobody-here"): "~nobody-here: there is no home",
    ("compare", "--csv", "~nobody-here/x"): "--csv=~nobody-here/x: there is no home",
    ("check", "--plot=~nobody-here/x"): "--plot=~nobody-here/x: there is no home",
    ("train", "--config-dir", "~nobody-here"): "--config-dir=~nobody-here: there is no home",
}


@pytest.mark.parametrize("words", NOBODY, ids=" ".join)
def test_the_home_of_nobody_is_named(words: tuple[str, ...], home: Path, capsys: Capture) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"bnexp: {NOBODY[words]}")
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert list(Path().iterdir()) == []


def test_a_tilde_elsewhere_is_a_letter_like_others(home: Path) -> None:
    assert main(["train", *SMALL, "dataset.path=~/table.csv", "output_dir='a~b'"]) == 0
    assert main(["train", *SMALL, "dataset.path=~/table.csv", "output_dir='./~'"]) == 0
    assert sorted(path.name for path in Path().iterdir()) == ["a~b", "~"]
