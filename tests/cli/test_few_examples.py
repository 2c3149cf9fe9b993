"""A table of 75 rows leaves 15 test examples and six for validation: whoever prints an accuracy says so."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from bnexp.cli.main import main

Capture = pytest.CaptureFixture[str]
NOTE = re.compile(
    r"few examples: an accuracy on (\d+) (validation|test) examples changes in steps of (\S+), and one of"
)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    draws = random.Random(0)
    rows = [(draws.gauss(0, 1), draws.gauss(0, 1)) for _ in range(75)]
    text = "".join(f"{a:.3f},{b:.3f},{'yes' if a + b > 0 else 'no'}\n" for a, b in rows)
    (tmp_path / "x.csv").write_text(f"a,b,y\n{text}")
    network = ["model=mlp", "model.width=4", "training.batch_size=16", "training.epochs=2", "training.device=cpu"]
    return ["dataset=csv", "dataset.path=x.csv", "dataset.target=y", *network, "training.threads=1"]


def told(capsys: Capture, *arguments: str) -> list[tuple[str, str, str]]:
    main([*arguments])
    return NOTE.findall(" ".join(capsys.readouterr().out.split()))


BOTH = [("6", "validation", "0.17"), ("15", "test", "0.067")]


def test_train_multirun_check_and_compare_say_so_once(words: list[str], capsys: Capture) -> None:
    assert told(capsys, "train", *words) == BOTH
    assert told(capsys, "train", *words) == BOTH  # of a run that was finished before, too
    assert told(capsys, "train", "-m", *words, "seed=0,1", "hydra/launcher=basic") == BOTH
    assert told(capsys, "check", *words) == BOTH
    assert told(capsys, "compare") == BOTH[1:]
    assert told(capsys, "compare", "--metric", "best/val/accuracy") == BOTH[:1]
    assert told(capsys, "compare", "--metric", "test/loss") == []


def test_json_holds_the_notes(words: list[str], capsys: Capture) -> None:
    main(["check", *words, "--json"])
    assert sum(bool(NOTE.match(note)) for note in json.loads(capsys.readouterr().out)["notes"]) == 2
    main(["train", *words])
    capsys.readouterr()
    main(["compare", "--json"])
    assert sum(bool(NOTE.match(note)) for note in json.loads(capsys.readouterr().out)["notes"]) == 1


def test_nothing_is_said_of_many(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    many = ["dataset=two_features", "dataset.num_examples=4000", "dataset.noise=0", "model=mlp", "optimizer.lr=0.1"]
    assert told(capsys, "train", *many, "training.epochs=1", "training.device=cpu") == []
