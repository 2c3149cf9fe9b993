"""What a finished run recorded cannot be changed without being noticed, by any reader."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reliability.small import QUICK, ROWS, composed, only_run, train, with_seed

from bnexp.analysis.runs import NoRunError, read_run
from bnexp.analysis.states import state
from bnexp.cli.main import main
from bnexp.errors import ConfigError
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder
from bnexp.training.seal import DamagedRunError, adopt, check_files, read_record, read_result

RECORDS = ("config.yaml", "result.json", "metrics.jsonl", "histograms.jsonl")
WORDS = (*ROWS, "training.epochs=2", "signals=full")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of two finished runs, whose seeds are 0 and 1."""
    folder = tmp_path_factory.mktemp("original")
    for seed in (0, 1):
        assert train(folder, with_seed(composed(*WORDS), seed))["status"] == "done"
    return folder


@pytest.fixture
def outputs(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "outputs")
    return tmp_path / "outputs"


def run_of(outputs: Path, seed: int = 0) -> RunFolder:
    [folder] = outputs.glob(f"*/*-s{seed}")
    return RunFolder(folder)


def edits(content: bytes) -> st.SearchStrategy[bytes]:
    """The content with one bit flipped, cut short, with something in its middle, or replaced."""
    places = st.integers(0, len(content) - 1)
    flipped = st.builds(
        lambda place, bit: content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :],
        places,
        st.integers(0, 7),
    )
    cut = places.map(lambda place: content[:place])
    longer = st.builds(lambda place, new: content[:place] + new + content[place:], places, st.binary(min_size=1))
    return st.one_of(flipped, cut, longer, st.binary()).filter(lambda edited: edited != content)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_edit_of_a_record_is_noticed_by_every_reader(original: Path, data: st.DataObject) -> None:
    run = run_of(original)
    file = run.path / data.draw(st.sampled_from(RECORDS))
    before = file.read_bytes()
    try:
        file.write_bytes(data.draw(edits(before)))
        with pytest.raises(DamagedRunError, match=file.name):
            read_record(run)
        with pytest.raises(NoRunError, match=file.name):
            read_run(run.path)
        assert read_result(run)["status"] == "damaged"
        assert state(run.path).status == "damaged"
    finally:
        file.write_bytes(before)
    assert read_run(run.path).status == "done"


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_every_edit_of_a_checkpoint_or_an_event_file_is_noticed_where_it_is_read_again(
    original: Path, data: st.DataObject
) -> None:
    run = run_of(original)
    file = data.draw(st.sampled_from([run.checkpoint, *run.event_files()]))
    before = file.read_bytes()
    try:
        file.write_bytes(data.draw(edits(before)))
        with pytest.raises(DamagedRunError, match=file.name):
            check_files(run, file)
    finally:
        file.write_bytes(before)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_edit_of_the_seal_itself_gives_other_numbers(original: Path, data: st.DataObject) -> None:
    run, before = run_of(original), run_of(original).seal.read_bytes()
    expected = read_record(run)
    try:
        run.seal.write_bytes(data.draw(edits(before)))
        with suppress(DamagedRunError):
            assert read_record(run) == expected  # a space between two of its words, say
    finally:
        run.seal.write_bytes(before)


@pytest.mark.parametrize("name", RECORDS)
def test_exchanged_files_of_two_runs_are_noticed(outputs: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (run_of(outputs, seed).path / name for seed in (0, 1))
    if one.read_bytes() == other.read_bytes():
        pytest.fail("the files are equal, and nothing could be noticed")
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    assert main(["compare", str(outputs)]) == 2
    assert capsys.readouterr().err.count("is not what was sealed") == 2


@pytest.mark.parametrize("name", [*RECORDS, "checkpoint.pt"])
def test_a_missing_file_is_noticed(outputs: Path, name: str) -> None:
    run = run_of(outputs)
    (run.path / name).unlink()
    with pytest.raises(DamagedRunError, match=f"{name}: cannot be read"):
        check_files(run, run.path / name)


@pytest.mark.parametrize("change", ["edited", "lost", "added"])
def test_event_files_that_are_not_the_runs_are_named_before_tensorboard_shows_them(
    outputs: Path, change: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bnexp.cli.dashboard._serve", lambda *_: 0)
    assert main(["dashboard", str(outputs)]) == 0
    assert capsys.readouterr().err == ""
    [events] = run_of(outputs).event_files()
    match change:
        case "edited":
            events.write_bytes(events.read_bytes()[:-1])
        case "lost":
            events.unlink()
        case "added":
            shutil.copy(events, events.with_name("events.out.tfevents.1.other"))
    assert main(["dashboard", str(outputs)]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert str(run_of(outputs).path) in line


def test_weights_are_not_taken_from_a_checkpoint_that_was_exchanged(outputs: Path) -> None:
    one, other = run_of(outputs, 0), run_of(outputs, 1)
    words = (*WORDS, f"model.weights={one.path}")
    assert train(outputs / "new", composed(*words))["status"] == "done"
    shutil.copy(other.checkpoint, one.checkpoint)
    with pytest.raises(ConfigError, match=r"model\.weights=.*checkpoint\.pt: is not what was sealed"):
        train(outputs / "newer", composed(*words))


def test_a_file_that_was_put_beside_the_sealed_ones_is_noticed(tmp_path: Path) -> None:
    train(tmp_path, composed(*ROWS, "training.epochs=1"))
    run = only_run(tmp_path)
    run.histograms.write_text("{}")
    with pytest.raises(DamagedRunError, match="is not among the files that were sealed"):
        read_record(run)


def test_train_does_not_believe_an_edited_result_and_trains_again_when_told_to(outputs: Path) -> None:
    one, run = composed(*WORDS), run_of(outputs)
    result = json.loads(run.result.read_text())
    edited = result | {"metrics": result["metrics"] | {"test/accuracy": 0.999}}
    run.result.write_text(json.dumps(edited))
    with pytest.raises(ConfigError, match=r"result\.json: is not what was sealed .* rerun=true"):
        train(outputs, one)
    assert json.loads(run.result.read_text()) == edited  # nothing was written
    again = train(outputs, with_rerun(one))
    assert again["metrics"] == result["metrics"]
    assert read_run(run.path).metrics == result["metrics"]


def with_rerun(one):
    return type(one)(one.config | {"rerun": True}, one.choices)


class Stopped(Silence):
    """Ctrl-C at the second evaluation."""

    def __init__(self, name: str) -> None:
        self.left = 2

    def row(self, row: object) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def content(run: RunFolder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in run.path.iterdir() if file.is_file() and file.name != ".lock"}


def test_a_finished_record_stays_until_the_new_one_is_finished(outputs: Path) -> None:
    run, again = run_of(outputs), with_rerun(composed(*WORDS))
    before = content(run)
    with pytest.raises(KeyboardInterrupt):
        train(outputs, again, Stopped)
    assert content(run) == before
    assert run.another().checkpoint.exists()
    assert train(outputs, composed(*WORDS))["repeated"] is False
    found = train(outputs, again)  # resumes
    assert found["metrics"] == json.loads(before["result.json"])["metrics"]
    assert not run.another().path.exists()
    assert read_run(run.path).status == "done"
    assert content(run) != before  # other seconds at the least


def test_a_rerun_that_fails_leaves_the_finished_record(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(outputs)
    before = content(run)
    monkeypatch.setattr("bnexp.run.make_training", lambda *_: 1 / 0)
    assert train(outputs, with_rerun(composed(*WORDS)))["status"] == "failed"
    assert content(run) == before
    assert "ZeroDivisionError" in run.another().traceback.read_text()


def steps_of_adopting(run: RunFolder) -> Iterator[int]:
    return iter(range(len(run.files()) + len(run.another().files()) + 3))


def test_a_process_that_is_killed_while_a_new_record_takes_the_old_ones_place_loses_neither(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rename and every removal is the last one once."""
    run, new = run_of(outputs), tmp_path / "new"
    train(new, composed(*WORDS))
    fresh = content(only_run(new))
    shutil.copytree(only_run(new).path, run.another().path, ignore=lambda *_: [".lock"])
    for last in range(100):
        place = tmp_path / str(last)
        shutil.copytree(outputs, place)
        one, killed = run_of(place), Killed(last)
        with monkeypatch.context() as patch:
            for name in ("unlink", "replace", "rmdir"):
                patch.setattr(Path, name, killed.wrapped(getattr(Path, name)))
            with suppress(KeyboardInterrupt):
                adopt(one)
        found = read_result(one)
        assert found is None or found["status"] == "done"  # not ended, or whole: never a mixture
        adopt(one)
        assert content(one) == fresh
        assert read_run(one.path).status == "done"
        if not killed.was:
            assert last > 5
            return
    pytest.fail("it never came to its end")


class Killed:
    """Ends the process before the operation of some number."""

    def __init__(self, left: int) -> None:
        self.left, self.was = left, False

    def wrapped(self, do):
        def operation(*arguments, **words):
            if not self.left:
                self.was = True
                raise KeyboardInterrupt
            self.left -= 1
            return do(*arguments, **words)

        return operation


def test_a_folder_whose_name_is_right_and_whose_record_is_another_runs_is_refused(outputs: Path) -> None:
    """As when the digits in the names of two fingerprints are the same."""
    one, run = composed(*WORDS), run_of(outputs)
    other = composed(*WORDS, "optimizer.lr=0.123")
    train(outputs, other)
    [place] = [path for path in outputs.glob("*/*-s0") if path != run.path]
    shutil.rmtree(place)
    run.path.rename(place)
    before = content(RunFolder(place))
    with pytest.raises(ConfigError, match="holds another run"):
        train(outputs, other)
    with pytest.raises(ConfigError, match="holds another run"):
        train(outputs, with_rerun(other))
    assert content(RunFolder(place)) == before
    assert train(outputs, one)["status"] == "done"


def test_an_unfinished_run_of_another_fingerprint_is_refused_too(tmp_path: Path) -> None:
    one, other = composed(*WORDS), composed(*WORDS, "optimizer.lr=0.123")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, one, Stopped)
    place = only_run(tmp_path).path
    train(tmp_path / "other", other)
    place.rename(place.with_name(only_run(tmp_path / "other").path.name))
    with pytest.raises(ConfigError, match="holds another run"):
        train(tmp_path, other)


def test_files_that_something_else_changed_while_the_run_trained_are_not_sealed(tmp_path: Path) -> None:
    class Edited(Stopped):
        def row(self, row: object) -> None:
            self.left -= 1
            if not self.left:
                run = only_run(tmp_path)
                run.config.write_text(run.config.read_text() + "# mine\n")

    found = train(tmp_path, composed(*WORDS), Edited)
    assert (found["status"], "were changed by something else" in found["error"]) == ("failed", True)
    assert not only_run(tmp_path).seal.exists()
    assert train(tmp_path, composed(*WORDS))["status"] == "done"


def test_a_record_of_an_earlier_version_is_named_as_one(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(outputs)
    run.seal.unlink()
    result = json.loads(run.result.read_text())
    del result["record"]
    run.result.write_text(json.dumps(result))
    assert main(["compare", str(outputs)]) == 0
    assert "recorded by an earlier version of bnexp" in capsys.readouterr().err
    assert state(run.path).status == "damaged"


def test_what_a_run_was_resumed_in_is_recorded_as_a_further_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = composed(*WORDS)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, one, Stopped)
    monkeypatch.setattr("bnexp.environment.platform.python_version", lambda: "3.99.0")
    lines: list[str] = []

    class Listening(Silence):
        def say(self, line: str) -> None:
            lines.append(line)

    found = train(tmp_path, one, Listening)
    versions = [(part["first_step"] > 0, part["environment"]["python"]) for part in found["parts"]]
    assert [is_later for is_later, _ in versions] == [False, True]
    assert versions[1][1] == "3.99.0"
    assert any("as a further part of the run: python " in line and "→ 3.99.0" in line for line in lines)
    assert main(["compare", str(tmp_path)]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "different surroundings" in line]
    assert "then 3.99.0 in 1 of 1" in line


def test_sweeps_and_their_tables_leave_damaged_runs_alone_and_name_them(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(outputs.parent)
    run = run_of(outputs, 1)
    run.metrics.write_bytes(run_of(outputs, 0).metrics.read_bytes())
    before = content(run)
    assert main(["train", "-m", *QUICK, *WORDS, "seed=0,1"]) == 1
    said = capsys.readouterr().out
    assert "1 damaged" in said
    assert f"{run.metrics.relative_to(outputs.parent)}: is not what was sealed" in said
    assert content(run) == before
