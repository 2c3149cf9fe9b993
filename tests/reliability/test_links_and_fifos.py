"""A run, study or multirun folder out of a stranger's archive: no link in it is followed when bnexp writes there, and
nothing in it is waited for."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from bnexp.analysis.multirun import note_run, with_listed_runs
from bnexp.cli.main import main
from bnexp.errors import ConfigError
from bnexp.studies.launch import Launcher
from bnexp.studies.launches import read_launches, record_launch
from bnexp.training.checkpoint import DamagedCheckpointError, load_checkpoint
from bnexp.training.owner import Owner, owned, read_owner
from bnexp.training.tensorboard import EventWriter

QUICK = ["dataset=two_features", "dataset.num_examples=300", "model=mlp", "model.width=8", "training.epochs=2"]
QUICK += ["training.device=cpu", "training.threads=1"]
PRECIOUS = b"precious\n"
SECONDS = 60


@pytest.fixture(autouse=True)
def _nobody_waits() -> Iterator[None]:
    """What waits for a FIFO is interrupted, and has failed."""

    def late(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Outside:
    """Files beside the folder that is looked at, which nobody may touch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "victim").write_bytes(PRECIOUS)
        (folder / "place").mkdir()

    def is_untouched(self) -> bool:
        names = sorted(path.name for path in self.folder.rglob("*"))
        return names == ["place", "victim"] and (self.folder / "victim").read_bytes() == PRECIOUS


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    found = Outside(tmp_path / "outside")
    yield found
    assert found.is_untouched()


def link(path: Path, outside: Outside) -> None:
    path.symlink_to(outside.folder / "victim")


def dangling(path: Path, outside: Outside) -> None:
    path.symlink_to(outside.folder / "new")


def relative(path: Path, outside: Outside) -> None:
    path.symlink_to(os.path.relpath(outside.folder / "victim", path.parent))


def hard(path: Path, outside: Outside) -> None:
    path.hardlink_to(outside.folder / "victim")


def fifo(path: Path, outside: Outside) -> None:
    os.mkfifo(path)


def device(path: Path, outside: Outside) -> None:
    path.symlink_to("/dev/null")  # /dev/zero would fill the memory of those who read it


Make = Callable[[Path, Outside], None]
KINDS = [link, dangling, relative, hard, fifo, device]
every_kind = pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    with chdir(place):
        assert main(["train", *QUICK]) == 0
    return place / "outputs"


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(finished, tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    [folder] = (tmp_path / "outputs").glob("*/*-s0")
    return folder


FILES = ["config.yaml", "metrics.jsonl", "histograms.jsonl", "result.json", "checkpoint.pt", "checkpoint-previous.pt"]
FILES += ["traceback.txt", ".lock", ".owner.json", "seal.json", "events.out.tfevents.1.x.1.0"]


@every_kind
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_run_that_is_no_plain_file_is_neither_followed_nor_waited_for(
    name: str, make: Make, run: Path, outside: Outside, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / name).unlink(missing_ok=True)
    make(run / name, outside)
    for words in (
        ["status", "outputs", "--once"],
        ["compare", "outputs"],
        ["train", *QUICK],
        ["train", *QUICK, "training.epochs=1"],
        ["landscape", "outputs", "--line"] if name in ("checkpoint.pt", "config.yaml") else ["compare", "outputs"],
        ["clean", "outputs", "--done", "--failed", "--interrupted", "--leftovers", "--yes"],
    ):
        assert main(words) in (0, 1, 2), words
        assert outside.is_untouched(), words
    assert "Traceback" not in capsys.readouterr().err


@every_kind
@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoint.pt", "result.json", "config.yaml", ".owner.json"])
def test_a_run_that_goes_on_writes_nothing_elsewhere(name: str, make: Make, run: Path, outside: Outside) -> None:
    for gone in ("result.json", "seal.json", name):
        (run / gone).unlink(missing_ok=True)
    make(run / name, outside)
    assert main(["train", *QUICK]) in (0, 1, 2)
    assert outside.is_untouched()
    assert main(["train", *QUICK, "rerun=true"]) in (0, 1, 2)


@pytest.mark.parametrize("part", ["", "two_features-mlp-default-none-momentum", "multirun", "studies"])
def test_a_folder_that_is_a_link_is_not_written_through(
    part: str, tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if not part:  # the user's own choice, and not a stranger's
        Path("disk").mkdir()
        Path("outputs").symlink_to("disk")
        assert main(["train", *QUICK]) == 0
        return
    Path("outputs").mkdir()
    (Path("outputs") / part).symlink_to(outside.folder / "place")
    if part == "studies":
        node = {"question": "?", "base": QUICK, "arms": {"a": ["norm=none"]}, "baseline": "a", "seeds": 1}
        Path("mine/study").mkdir(parents=True)
        Path("mine/study/s.yaml").write_text(yaml.safe_dump(node))
        words = ["study", "s", "-cd", "mine"]
    else:
        words = ["train", *QUICK] if part != "multirun" else ["train", "-m", "seed=1", *QUICK]
    assert main(words) == 2
    assert "symbolic link" in capsys.readouterr().err


@every_kind
def test_the_note_of_the_owner_takes_the_place_of_whatever_has_its_name(
    make: Make, tmp_path: Path, outside: Outside
) -> None:
    note = tmp_path / ".owner.json"
    make(note, outside)
    assert read_owner(note) is None
    with owned(note):
        assert outside.is_untouched()
        found = read_owner(note)
        assert found is not None
        assert found.pid == os.getpid()
    assert not os.path.lexists(note)


@pytest.mark.parametrize("pid", ["0", "-1", "1.5", "true", '"1"', "null", "[1]", "1e400", str(2**31), "9" * 5000])
def test_a_note_of_an_impossible_process_is_none(pid: str, tmp_path: Path) -> None:
    note = tmp_path / ".owner.json"
    note.write_text(f'{{"host": "x", "pid": {pid}, "started": ""}}')
    assert read_owner(note) is None


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"host": 1, "pid": 1, "started": ""}', '{"host": "x", "pid": 1}', "1"]
)
def test_a_note_that_is_none_is_none(text: str, tmp_path: Path) -> None:
    note = tmp_path / ".owner.json"
    note.write_text(text)
    assert read_owner(note) is None


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    with owned(tmp_path / "note"):
        found = read_owner(tmp_path / "note")
    assert isinstance(found, Owner)
    assert found.is_here()
    assert found.is_alive()


@every_kind
def test_the_list_of_a_multirun_is_a_plain_file(make: Make, tmp_path: Path, outside: Outside) -> None:
    folder = tmp_path / "multirun"
    folder.mkdir()
    make(folder / "runs.txt", outside)
    with pytest.raises(OSError, match=r"link|FIFO|several names"):
        note_run(folder, tmp_path / "run")
    if make is hard:
        assert with_listed_runs([folder]) == [folder]
        return
    with pytest.raises(ConfigError, match=r"runs\.txt: is a (symbolic link|FIFO)"):
        with_listed_runs([folder])


def test_a_list_of_odd_names_lists_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs.txt").write_bytes(b"a\x00b\n" + b"x" * 5000 + b"\n\xff\xfe\n\n")
    assert with_listed_runs([tmp_path]) == [tmp_path, tmp_path]


@every_kind
def test_the_launches_of_a_study_are_a_plain_file(make: Make, tmp_path: Path, outside: Outside) -> None:
    make(tmp_path / "launches.jsonl", outside)
    assert read_launches(tmp_path) == []
    with pytest.raises(OSError, match=r"link|FIFO|several names"):
        record_launch(tmp_path, Launcher("local", 1, lambda jobs: []), 1)


@every_kind
def test_event_files_take_the_place_of_whatever_has_their_name(
    make: Make, tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    monkeypatch.setattr("time.time", lambda: 1.0)
    path = tmp_path / f"events.out.tfevents.1.host.{os.getpid()}.0"
    make(path, outside)
    EventWriter(tmp_path, []).close()
    assert path.stat().st_size > 0
    assert path.is_file()
    assert not path.is_symlink()


@every_kind
def test_a_checkpoint_is_a_plain_file(make: Make, tmp_path: Path, outside: Outside) -> None:
    make(tmp_path / "checkpoint.pt", outside)
    with pytest.raises(DamagedCheckpointError):
        load_checkpoint(tmp_path / "checkpoint.pt")


@every_kind
@pytest.mark.parametrize("name", ["check.png", "check.svg"])
def test_pictures_take_the_place_of_whatever_has_their_name(
    name: str, make: Make, tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name, outside)
    assert main(["check", *QUICK]) in (0, 1)
    assert Path(name).is_file()
    assert not Path(name).is_symlink()
