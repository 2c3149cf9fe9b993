"""What ``bnexp train`` says about its data before it trains, and what of it stays in the record."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bnexp.cli.main import main
from bnexp.data.cache import kept_files

Capture = pytest.CaptureFixture[str]
SMALL = ["model=mlp", "model.width=8", "training.epochs=1", "training.batch_size=8", "training.device=cpu"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def write_table(folder: Path) -> list[str]:
    draws = random.Random(0)
    rows = [f'{n},"{draws.randrange(900, 2_000_000):,}", ,{draws.choice(["None", "yes"])}' for n in range(300)]
    (folder / "my table.csv").write_text("\n".join([",income,a,target", *rows, "1,7,,"]) + "\n")
    return ["dataset=csv", "dataset.path=my table.csv", "dataset.target=target", "dataset.drop=[a]"]


def record(folder: Path) -> dict[str, Any]:
    (path,) = folder.rglob("result.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_run_says_what_it_learns_from_and_records_it(folder: Path, capsys: Capture) -> None:
    assert main(["train", *write_table(folder), *SMALL]) == 0
    told = capsys.readouterr().err.splitlines()
    text = (folder / "my table.csv").read_text()
    none, yes = text.count("None"), text.count("yes")
    assert told[0].startswith("data      CSV table my table.csv: ")
    assert told[0].endswith(" test examples of 2 values")
    assert told[1] == f"classes   None: {none}, yes: {yes}"
    assert told[2] == "columns   target target, 2 numbers (Unnamed: 0, income), dropped a"
    assert any("commas separate thousands" in line for line in told)
    assert any("rows left out because they have no class: 1" in line for line in told)
    assert any(line.startswith("warning   column 'Unnamed: 0' looks like an identifier") for line in told)
    data = record(folder)["data"]
    assert data["classes"] == {"None": none, "yes": yes}
    assert data["rows_left_out"] == 1
    assert [column["role"] for column in data["columns"]] == ["number", "number", "dropped", "target"]
    assert sum(data["examples"].values()) == 300


def test_many_runs_say_their_warnings_once(folder: Path, capsys: Capture) -> None:
    assert main(["train", "-m", *write_table(folder), *SMALL, "init=he,xavier", "seed=0,1"]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert [line.split("'")[1] for line in warnings] == ["Unnamed: 0", "None"]


def test_a_table_of_unix_times_is_learned(folder: Path) -> None:
    draws = random.Random(1)
    times = [1_700_000_000 + draws.randrange(61) for _ in range(300)]
    rows = "".join(f"{time},{int(time >= 1_700_000_030)}\n" for time in times)
    (folder / "times.csv").write_text(f"time,late\n{rows}")
    words = ["dataset=csv", "dataset.path=times.csv", "dataset.target=late", *SMALL, "training.epochs=20", "norm=batch"]
    assert main(["train", *words]) == 0
    assert record(folder)["metrics"]["test/accuracy"] > 0.9


def test_incomes_with_commas_are_learned(folder: Path) -> None:
    draws = random.Random(1)
    incomes = [draws.randrange(20_000, 90_000, 1000) for _ in range(300)]
    rows = "".join(f'"{income:,}",{int(income > 55_000)}\n' for income in incomes)
    (folder / "incomes.csv").write_text(f"income,rich\n{rows}")
    words = [
        "dataset=csv",
        "dataset.path=incomes.csv",
        "dataset.target=rich",
        *SMALL,
        "training.epochs=20",
        "norm=batch",
    ]
    assert main(["train", *words]) == 0
    assert record(folder)["metrics"]["test/accuracy"] > 0.9


def write_images(folder: Path) -> None:
    draws = np.random.default_rng(0)
    for kind, level in (("dark", 1100), ("light", 1180)):
        (folder / "images" / kind).mkdir(parents=True)
        for number in range(40):
            levels = (level + draws.integers(-20, 21, (8, 8))).astype(np.uint16)
            Image.fromarray(levels).save(folder / "images" / kind / f"{number}.png")


def test_twelve_bits_in_files_of_sixteen_are_learned(folder: Path, capsys: Capture) -> None:
    write_images(folder)
    words = ["dataset=image_folder", "dataset.root=images", *SMALL, "training.epochs=10"]
    assert main(["train", *words]) == 0
    assert record(folder)["metrics"]["test/accuracy"] == 1.0
    told = capsys.readouterr().err
    assert "files with levels of more than 8 bits, 1080 to 1200: stored as 0 to 255 in 32 bits" in told
    assert "files: 80 PNG; modes: 80 I;16" in told


@pytest.mark.parametrize("word", ["dataset.root=~/images", "dataset.root='~/images'"])
def test_a_path_may_begin_with_a_tilde(word: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(folder)
    monkeypatch.setenv("HOME", str(folder))
    assert main(["check", "dataset=image_folder", word, *SMALL]) in (0, 1)


def test_a_path_that_is_not_there_is_named_as_it_was_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert main(["train", "dataset=csv", "dataset.path=~/no.csv", "dataset.target=y"]) == 2
    assert capsys.readouterr().err.startswith(f"bnexp: dataset.path={folder}/no.csv: no such file;")


def test_a_column_may_be_called_by_a_number(folder: Path) -> None:
    rows = "".join(f"{n / 7},x{n % 3},{n % 2}\n" for n in range(60))
    (folder / "table.csv").write_text(f"0,a,9\n{rows}")
    words = ["dataset=csv", "dataset.path=table.csv", *SMALL]
    assert main(["train", *words, "dataset.target=9", "dataset.drop=[0]"]) == 0
    assert main(["train", *words, "dataset.target='9'", "dataset.drop=['0']"]) == 0
    assert len(list(folder.rglob("result.json"))) == 1  # one question has one spelling


def test_the_cache_is_listed_and_cleared(folder: Path, capsys: Capture) -> None:
    write_images(folder)
    assert main(["check", "dataset=image_folder", "dataset.root=images", *SMALL]) in (0, 1)
    (file,) = kept_files()
    capsys.readouterr()
    assert main(["clean", "--cache", "--yes"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["cache", *out[0].split()[1:3], str(file)]
    assert out[-1] == "removed 1 of 1"
    assert not file.exists()
