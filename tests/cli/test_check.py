"""``bnexp check`` as a person uses it: each line with a configuration that passes and one that does not."""

from __future__ import annotations

import json
import random
import shlex
from pathlib import Path
from typing import Any

import pytest

from bnexp.cli.main import main

SMALL = ["model.width=8", "dataset.subset=0.3"]
NAMES = [
    *("input scale", "identifiers", "separate splits"),
    *("initial loss", "gradient flow", "one batch", "train and eval"),
]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(capsys: Capture, *words: str) -> dict[str, Any]:
    status = main(["check", *words, "--json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status == (0 if told["passed"] else 1)
    assert told["passed"] == all(check["passed"] for check in told["checks"])
    assert [check["name"] for check in told["checks"]] == NAMES
    return told


def failing(capsys: Capture, *words: str) -> set[str]:
    return {check["name"] for check in found(capsys, *words)["checks"] if not check["passed"]}


def table(path: Path, repeats: int = 1) -> list[str]:
    """A CSV of two numbers and a class that their sum decides; returns the words for it."""
    draws = random.Random(0)
    lines = [(draws.gauss(0, 1), draws.gauss(0, 1)) for _ in range(150)]
    text = "".join(f"{a},{b},{'yes' if a + b > 0 else 'no'}\n" for a, b in lines * repeats)
    path.write_text(f"a,b,label\n{text}")
    return ["dataset=csv", f"dataset.path={path}", "dataset.target=label", "model=mlp", "training.batch_size=16"]


@pytest.mark.parametrize(
    "words",
    [[], ["norm=batch"], ["init=he"], ["norm=batch", "norm.momentum=0.01"], ["norm=batch", "model.dropout=0.5"]],
)
def test_what_trains_well_passes(words: list[str], capsys: Capture) -> None:
    assert failing(capsys, "model.width=16", "dataset.subset=0.3", *words) == set()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["dataset.scaling=raw"], {"input scale"}),
        (["init=random_normal", "init.std=1", "norm=batch"], {"initial loss"}),
        (["init=zeros"], {"gradient flow", "one batch"}),
        (["init=zeros", "norm=batch"], {"gradient flow", "one batch"}),
        (["optimizer.lr=1e-6", "norm=batch"], {"one batch"}),
        (["norm=batch", "norm.momentum=1e-6"], {"train and eval"}),
    ],
)
def test_what_does_not_fails_by_name(words: list[str], names: set[str], capsys: Capture) -> None:
    assert failing(capsys, *SMALL, *words) == names


def test_a_table_that_repeats_itself_has_no_separate_splits(folder: Path, capsys: Capture) -> None:
    assert "separate splits" not in failing(capsys, *table(folder / "once.csv"))
    told = found(capsys, *table(folder / "twice.csv", repeats=2))
    assert not next(check for check in told["checks"] if check["name"] == "separate splits")["passed"]


def test_data_and_baselines_are_told(folder: Path, capsys: Capture) -> None:
    told = found(capsys, *table(folder / "toy.csv"))
    counts = told["data"]["counts"]
    assert {sum(split.values()) for split in counts.values()} == {108, 12, 30}
    assert told["data"]["input_shape"] == [2]
    majority = max(counts["train"], key=counts["train"].__getitem__)
    assert told["baselines"]["majority"] == counts["val"][majority] / 12
    assert told["baselines"]["linear"] > 0.9


def test_an_identifier_fails_by_name_with_the_fix(folder: Path, capsys: Capture) -> None:
    words = table(folder / "toy.csv")
    lines = (folder / "toy.csv").read_text().splitlines()
    numbered = [f",{lines[0]}", *(f"{number},{line}" for number, line in enumerate(lines[1:]))]
    (folder / "toy.csv").write_text("\n".join(numbered) + "\n")
    assert "identifiers" in failing(capsys, *words)
    assert main(["check", *words]) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL  identifiers"))
    assert "1 columns look like identifiers: Unnamed: 0 (it counts the rows)" in line
    assert line.endswith("write 'dataset.drop=[\"Unnamed: 0\"]'")
    assert "identifiers" not in failing(capsys, *words, *shlex.split(line.split("write ")[-1]))


def test_the_contract_is_shown_in_full(folder: Path, capsys: Capture) -> None:
    words = table(folder / "toy.csv")
    text = (folder / "toy.csv").read_text().replace("yes", "None ").replace("a,b,label", "a, b ,label")
    (folder / "toy.csv").write_text(text)
    main(["check", *words])
    lines = {line[:23].strip(): line[23:].strip() for line in capsys.readouterr().out.splitlines()}
    none, no = text.count("None"), text.count(",no\n")
    assert lines["classes"] == f"None: {none}, no: {no}"
    assert lines["column a"] == lines["column b"] == "number"
    assert lines["column label"] == f"target; blanks stripped in {none} fields"
    contract = found(capsys, *words)["contract"]
    assert contract["classes"] == {"None": none, "no": no}
    assert [column["role"] for column in contract["columns"]] == ["number", "number", "target"]


def test_nothing_is_written_but_the_picture(folder: Path, capsys: Capture) -> None:
    assert main(["check", *SMALL, "norm=batch"]) == 0
    assert {path.name for path in folder.rglob("*")} == {"check.png", "check.svg"}
    first = (folder / "check.png").read_bytes()
    assert main(["check", *SMALL, "norm=batch", "--plot", "other.png"]) == 0
    assert (folder / "other.png").read_bytes() == first
    out, err = capsys.readouterr()
    assert err.endswith("examples: other.png other.svg\n")
    assert [line[:21].strip() for line in out.splitlines()[-len(NAMES) :]] == [f"pass  {name}" for name in NAMES]


def test_a_failure_names_its_rule_and_what_to_try(capsys: Capture) -> None:
    assert main(["check", *SMALL, "dataset.scaling=raw"]) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL"))
    assert "(rule: the largest between 0.1 and 3)" in line
    assert line.endswith("use dataset.scaling=standardized")


def test_the_numbers_do_not_depend_on_what_was_checked_before(capsys: Capture) -> None:
    words = [*SMALL, "norm=noisy_batch"]
    assert found(capsys, *words) == found(capsys, *words)


@pytest.mark.parametrize("augment", ["crop_flip", "mixup", "cutout"])
def test_augmented_examples_are_drawn(augment: str, folder: Path) -> None:
    main(["check", *SMALL, f"augment={augment}", "--plot", "augmented"])
    main(["check", *SMALL, "--plot", "plain"])
    assert (folder / "augmented.png").read_bytes() != (folder / "plain.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jsn"], "--jsn: bnexp check has no such flag; did you mean '--json'?"),
        (["norm=bacth"], "norm=bacth: norm has no such choice; did you mean 'batch'?"),
        (["norm=none,batch"], "norm=none,batch: names several values"),
        (["--plot", "no/where"], "--plot=no/where: there is no folder no; make it first"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    words: list[str], message: str, folder: Path, capsys: Capture
) -> None:
    assert main(["check", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"bnexp: {message}")
    assert err.count("\n") == 1
    assert list(folder.iterdir()) == []
