"""``bnexp landscape`` as a person uses it, on runs that take a moment."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from tests.sealing import seal_again
from torch.nn import functional as F

from bnexp.cli.main import main
from bnexp.experiment import prepare
from bnexp.training.checkpoint import load_checkpoint, save_checkpoint

SMALL = ["model.width=4", "dataset.subset=0.2", "training.epochs=1", "training.threads=1"]
QUICK = ["--grid", "5", "--examples", "60"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs without a norm and with two, of one seed; and another seed with batch norm."""
    folder = tmp_path_factory.mktemp("trained")
    for words in (["norm=none"], ["norm=batch"], ["norm=weight"], ["norm=batch", "seed=1"]):
        assert main(["train", *SMALL, *words, f"output_dir={folder}"]) == 0
    return folder


@pytest.fixture
def outputs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"


def one(outputs: Path, norm: str = "batch", seed: int = 0) -> Path:
    [folder] = outputs.glob(f"*-{norm}-*/*-s{seed}")
    return folder


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def at(table: list[dict[str, str]], first: float, second: float) -> float:
    [row] = [row for row in table if (float(row["first"]), float(row["second"])) == (first, second)]
    return float(row["loss"])


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def mistake(capsys: Capture, *words: object) -> str:
    assert main(["landscape", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bnexp: ")
    assert err.count("\n") == 1
    return err.removeprefix("bnexp: ").rstrip()


def test_the_same_runs_give_the_same_bytes_and_stay_as_they_are(outputs: Path, capsys: Capture) -> None:
    before = digests(outputs)
    for prefix in ("a", "b"):
        assert main(["landscape", "outputs", *QUICK, "--plot", prefix]) == 0
    for kind in ("png", "svg", "csv"):
        assert Path(f"a.{kind}").read_bytes() == Path(f"b.{kind}").read_bytes()
    assert digests(outputs) == before
    labels = ["norm=none", "norm=batch seed=0", "norm=batch seed=1", "norm=weight"]
    assert list(dict.fromkeys(row["label"] for row in rows("a.csv"))) == labels
    assert len(rows("a.csv")) == 4 * 25
    svg = Path("a.svg").read_text(encoding="utf-8")
    assert svg.count("loss (nats)") == 2  # one colour scale for all four maps, and the axis of the lines
    assert capsys.readouterr().err.endswith("landscape: b.png b.svg b.csv\n")


def test_the_default_place_is_the_working_folder(outputs: Path) -> None:
    assert main(["landscape", str(one(outputs)), *QUICK]) == 0
    assert {path.name for path in Path().iterdir()} == {"outputs", "landscape.png", "landscape.svg", "landscape.csv"}


@pytest.mark.parametrize("norm", ["none", "batch", "weight"])
def test_the_middle_is_the_loss_of_the_weights_that_the_run_ended_with(outputs: Path, norm: str) -> None:
    folder = one(outputs, norm)
    assert main(["landscape", str(folder), *QUICK]) == 0
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    del config["fingerprint"]
    experiment = prepare(config, config.pop("choices"))
    experiment.model.load_state_dict(load_checkpoint(folder / "checkpoint.pt")["model"])
    examples, mean, std = experiment.dataset.train, experiment.dataset.mean, experiment.dataset.std
    inputs = (examples.inputs[:60].float() - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    with torch.no_grad():
        expected = float(F.cross_entropy(experiment.model.eval()(inputs), examples.labels[:60]))
    assert at(rows("landscape.csv"), 0, 0) == pytest.approx(expected, rel=1e-5)


def test_lines_are_the_middle_of_the_map(outputs: Path) -> None:
    folder = str(one(outputs))
    assert main(["landscape", folder, *QUICK, "--range", "0.8", "--plot", "map"]) == 0
    assert main(["landscape", folder, *QUICK, "--range", "0.8", "--plot", "line", "--line"]) == 0
    plane, lines = rows("map.csv"), rows("line.csv")
    assert len(lines) == 2 * 5
    for step in (-0.8, -0.4, 0.4, 0.8):
        assert at(lines, step, 0) == at(plane, step, 0)
        assert at(lines, 0, step) == at(plane, 0, step)
        assert at(lines, step, 0) != at(lines, 0, step)


def test_other_directions_have_another_landscape_with_the_same_middle(outputs: Path) -> None:
    for seed in ("0", "1"):
        assert main(["landscape", str(one(outputs)), *QUICK, "--directions", seed, "--plot", seed]) == 0
    tables = [rows("0.csv"), rows("1.csv")]
    assert at(tables[0], 0, 0) == at(tables[1], 0, 0)
    assert at(tables[0], 1, 0) != at(tables[1], 1, 0)


def test_the_table_has_the_steps_and_the_loss_of_each_run(outputs: Path, capsys: Capture) -> None:
    assert main(["landscape", "outputs", *QUICK]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["run", "step"]
    none = next(line for line in lines if line.startswith("norm=none")).split()
    middle = next(row for row in rows("landscape.csv") if float(row["first"]) == float(row["second"]) == 0)
    assert none[1] == "4"  # 258 examples in batches of 64
    assert float(none[2]) == pytest.approx(float(middle["loss"]), abs=1e-4)


def test_a_run_goes_on_to_be_mapped_where_its_output_folder_is_gone(outputs: Path) -> None:
    moved = outputs.rename(outputs.with_name("archive"))
    assert main(["landscape", str(one(moved)), *QUICK]) == 0


@pytest.mark.parametrize("launched", ["graph: 'on'", "compile: true", "device: cuda:7"])
def test_a_run_is_mapped_where_it_could_not_be_launched_as_it_was(
    launched: str, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # no compiler
    monkeypatch.delenv("CXX", raising=False)
    config = one(outputs) / "config.yaml"
    key = launched.partition(":")[0]
    lines = [f"  {launched}" if line.startswith(f"  {key}:") else line for line in config.read_text().splitlines()]
    assert f"  {launched}" in lines
    config.write_text("\n".join(lines))
    seal_again(config.parent)
    assert main(["landscape", str(one(outputs)), *QUICK]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "landscape: no run is named; write bnexp landscape RUN, a folder below outputs"),
        (["output"], "output: no such folder; did you mean 'outputs'?"),
        (["outputs", "--grid", "24"], "--grid=24: must be odd, so that the weights themselves are a point; use 25"),
        (["outputs", "--grid", "few"], "--grid=few must be a whole number; leave it out for 25"),
        (["outputs", "--range=0"], "--range=0 must be greater than 0; leave it out for 1"),
        (["outputs", "--examples=0"], "--examples=0 must be at least 1; leave it out for 500"),
        (["outputs", "--lines"], "--lines: bnexp landscape has no such flag; did you mean '--line'?"),
        (["outputs", "--plot", "no/where"], "--plot=no/where: there is no folder no; make it first"),
    ],
)
@pytest.mark.usefixtures("outputs")
def test_a_mistake_is_one_line(words: list[str], message: str, capsys: Capture) -> None:
    assert mistake(capsys, *words) == message


def test_a_folder_without_runs_is_named(tmp_path: Path, capsys: Capture) -> None:
    assert mistake(capsys, tmp_path) == f"{tmp_path}: no run; train something first (bnexp train)"


def test_a_run_without_weights_is_named(outputs: Path, capsys: Capture) -> None:
    folder = one(outputs)
    (folder / "checkpoint.pt").unlink()
    assert mistake(capsys, folder).startswith(f"{folder}: no checkpoint.pt")


def test_a_damaged_checkpoint_is_named(outputs: Path, capsys: Capture) -> None:
    folder = one(outputs)
    content = bytearray((folder / "checkpoint.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "checkpoint.pt").write_bytes(content)
    assert mistake(capsys, folder).startswith(f"{folder}/checkpoint.pt: is not what was sealed")
    seal_again(folder)
    assert mistake(capsys, folder).startswith(f"{folder}/checkpoint.pt: damaged (")
    assert not Path("landscape.csv").exists()


def test_another_runs_checkpoint_is_not_taken(outputs: Path, capsys: Capture) -> None:
    folder = one(outputs)
    shutil.copy(one(outputs, seed=1) / "checkpoint.pt", folder / "checkpoint.pt")
    seal_again(folder)
    assert mistake(capsys, folder).startswith(f"{folder}/checkpoint.pt: belongs to another run")


def test_a_checkpoint_of_another_network_is_not_taken(outputs: Path, capsys: Capture) -> None:
    folder = one(outputs)
    state, other = (load_checkpoint(one(outputs, norm) / "checkpoint.pt") for norm in ("batch", "none"))
    save_checkpoint(folder / "checkpoint.pt", state | {"model": other["model"]}, None)
    seal_again(folder)
    assert mistake(capsys, folder).startswith(f"{folder}/checkpoint.pt: damaged (Error(s) in loading state_dict")


def test_weights_that_are_not_finite_have_no_landscape(outputs: Path, capsys: Capture) -> None:
    folder = one(outputs)
    state = load_checkpoint(folder / "checkpoint.pt")
    state["model"]["output.weight"][0, 0] = float("nan")
    save_checkpoint(folder / "checkpoint.pt", state, None)
    seal_again(folder)
    reason = f"{folder}: done at step 4, its weights are not finite; leave this run out"
    assert mistake(capsys, folder) == reason
    assert main(["landscape", str(folder), str(one(outputs, "none")), *QUICK, "--line"]) == 0
    assert f"left out: {reason}\n" in capsys.readouterr().err
    assert {row["label"] for row in rows("landscape.csv")} == {"norm=none"}


def test_a_damaged_or_foreign_folder_is_named(outputs: Path, capsys: Capture) -> None:
    folder = one(outputs)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    for change, words in (
        ({"norm": {"_target_": "os.system"}}, "its network cannot be built again (norm._target_=os.system is outside"),
        ({"training": 3}, "its network cannot be built again ("),
        ({"choices": {}}, "its network cannot be built again ("),
        ({"model": config["model"] | {"width": 5}}, "its data or its code are no longer those it was trained with"),
    ):
        (folder / "config.yaml").write_text(yaml.safe_dump(config | change), encoding="utf-8")
        seal_again(folder)
        assert mistake(capsys, folder).startswith(f"{folder}: {words}")
    (folder / "config.yaml").write_text("seed: [", encoding="utf-8")
    seal_again(folder)
    assert mistake(capsys, folder).startswith(f"{folder}: damaged (ParserError")
    (folder / "result.json").unlink()
    assert mistake(capsys, folder).startswith(f"{folder}: ")
