"""Damaged and exchanged files of a run are noticed; what comes out is what would have come out."""

import random
import shutil

import pytest
import yaml
from tests.reliability.small import ROWS, assert_same_end, composed, only_run, train, with_seed

from bnexp.cli.main import main
from bnexp.training.progress import Silence
from bnexp.training.resume import newest_state

SEEDS = (0, 1)


class Stopped(Silence):
    """Ctrl-C at the fourth evaluation, the last but one."""

    def __init__(self, name):
        self.num_rows = 0

    def row(self, row):
        self.num_rows += 1
        if self.num_rows == 4:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that ended, and the same two stopped after their third checkpoint, by seed."""
    folder = tmp_path_factory.mktemp("runs")
    one = composed(*ROWS, "training.epochs=5")
    for seed in SEEDS:
        train(folder / "whole" / str(seed), with_seed(one, seed))
        with pytest.raises(KeyboardInterrupt):
            train(folder / "stopped" / str(seed), with_seed(one, seed), Stopped)
    return folder, one


@pytest.fixture
def stopped(runs, tmp_path):
    """A copy of the stopped runs that may be damaged."""
    shutil.copytree(runs[0] / "stopped", tmp_path, dirs_exist_ok=True)
    return tmp_path


def found(folder):
    """The step that the run goes on from, and what is said of it."""
    run, lines = only_run(folder), []
    config = yaml.safe_load(run.config.read_text())
    state = newest_state(run, (config["fingerprint"], config["seed"]), "cpu", lines.append)
    return (0 if state is None else state["progress"]["step"]), lines


def damages(content):
    """The content cut short at 50 places, and with a bit flipped at 50."""
    draws = random.Random(0)
    for place in draws.sample(range(len(content)), 50):
        yield content[:place]
    for place in draws.sample(range(len(content)), 50):
        yield content[:place] + bytes([content[place] ^ 1 << draws.randrange(8)]) + content[place + 1 :]


def test_a_hundred_damaged_checkpoints_are_noticed_and_the_one_before_is_taken(stopped):
    run = only_run(stopped / "0")
    content, previous = run.checkpoint.read_bytes(), run.previous_checkpoint.read_bytes()
    last, lines = found(stopped / "0")
    assert lines == []
    for damaged in damages(content):
        run.checkpoint.write_bytes(damaged)
        run.previous_checkpoint.write_bytes(previous)
        step, lines = found(stopped / "0")
        assert 0 < step < last
        [line] = lines
        assert line.startswith(f"{run.checkpoint} is damaged: ")
        assert line.endswith("training resumes from the checkpoint before it")
        assert run.checkpoint.read_bytes() == previous  # it took the place of the damaged one


def flip_in_the_middle(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "names",
    [("checkpoint.pt",), ("checkpoint.pt", "checkpoint-previous.pt"), ("metrics.jsonl",), ("config.yaml",)],
    ids="+".join,
)
def test_a_run_with_damaged_files_ends_as_if_they_had_been_whole(stopped, runs, names):
    for name in names:
        flip_in_the_middle(only_run(stopped / "0").path / name)
    train(stopped / "0", runs[1])
    assert_same_end(stopped / "0", runs[0] / "whole" / "0")


@pytest.mark.parametrize(
    "names",
    [("checkpoint.pt",), ("checkpoint-previous.pt",), ("metrics.jsonl",), ("checkpoint.pt", "metrics.jsonl")],
    ids="+".join,
)
def test_exchanged_files_of_two_runs_are_noticed(stopped, runs, names):
    one, other = (only_run(stopped / str(seed)).path for seed in SEEDS)
    for name in names:
        content = (one / name).read_bytes()
        (one / name).write_bytes((other / name).read_bytes())
        (other / name).write_bytes(content)
    for seed in SEEDS:
        train(stopped / str(seed), with_seed(runs[1], seed))
        assert_same_end(stopped / str(seed), runs[0] / "whole" / str(seed))


def test_the_result_of_another_run_is_no_answer(stopped, runs):
    shutil.copy(only_run(runs[0] / "whole" / "1").result, only_run(stopped / "0").result)
    assert "repeated" not in train(stopped / "0", runs[1])
    assert_same_end(stopped / "0", runs[0] / "whole" / "0")


def test_damaged_event_files_change_no_comparison(runs, tmp_path, capsys):
    shutil.copytree(runs[0] / "whole", tmp_path, dirs_exist_ok=True)
    said = []
    for damage in (None, flip_in_the_middle, lambda path: path.write_bytes(b""), lambda path: path.unlink()):
        for path in tmp_path.rglob("events.out.tfevents.*") if damage else ():
            damage(path)
        assert main(["compare", str(tmp_path), "--json"]) == 0
        said.append(capsys.readouterr())
    assert len(set(said)) == 1
    assert said[0].err == ""
