"""Replicas in lockstep: each ends with the bits that it has alone, whatever becomes of the others."""

import random
import time
from dataclasses import replace

import pytest
import torch
import yaml
from filelock import FileLock
from tests.training.small_run import assert_same_state, without_seconds
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from bnexp.config.compose import compose_replicas
from bnexp.errors import Terminated, TimedOut
from bnexp.experiment import prepare
from bnexp.run import make_training, run, run_together
from bnexp.training.checkpoint import load_checkpoint
from bnexp.training.lockstep import train_in_lockstep
from bnexp.training.loop import Training
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder, read_rows
from bnexp.training.seal import read_result
from bnexp.training.stretch import Stretch, Taken
from bnexp.training.timeout import TimeLimit

QUICK = ["training.device=cpu", "training.threads=1", "training.epochs=2", "training.eval_every=0.4"]
IMAGES = [*QUICK, "dataset.subset=0.2", "model.width=4", "training.batch_size=32"]
ROWS = [
    *QUICK,
    "dataset=two_features",
    "dataset.num_examples=300",
    "training.batch_size=32",
    "model=mlp",
    "model.width=8",
]


def replicas(folder, *words, number=3, user_dirs=()):
    """The experiments of ``bnexp train training.replicas=…``."""
    words = [*words, f"training.replicas={number}", f"output_dir={folder}"]
    return [prepare(*composed) for composed in compose_replicas(words, user_dirs)]


def moved(experiment, folder):
    """The same run below another folder."""
    path = folder / experiment.path.parent.name / experiment.path.name
    return replace(experiment, path=path, config=experiment.config | {"output_dir": str(folder)})


def end(experiment):
    """All that a run has come to and left behind, but for its times."""
    folder = RunFolder(experiment.path)
    state, result = load_checkpoint(folder.checkpoint), read_result(folder)
    for key in ("seconds_train", "seconds_total", "rows", "parts"):  # the rows' checksum is one of their times too
        del state["progress"][key]
    return {
        "state": state,
        "rows": [without_seconds(row) for row in read_rows(folder.metrics)],
        "histograms": folder.histograms.read_text() if folder.histograms.exists() else "",
        "result": {key: result[key] for key in ("status", "metrics", "steps", "epochs", "seed")},
    }


def assert_same_ends(experiments, alone):
    """Bit by bit: weights, buffers, optimizer, generators, counters, rows, metrics."""
    for one, other in zip(experiments, alone, strict=True):
        assert_same_state(end(one), end(other))


def trained_alone(experiments, folder):
    """The same runs one after another below another folder, each to its own end."""
    alone = [moved(experiment, folder) for experiment in experiments]
    assert {run(experiment, Silence)["status"] for experiment in alone} <= {"done", "diverged"}
    return alone


ARMS = {
    "plain": [*IMAGES, "norm=none", "optimizer=sgd"],
    "batch": [*IMAGES, "norm=batch", "optimizer=adam", "model.dropout=0.3", "augment=crop_flip", "augment.padding=1"],
    "noisy batch": [*IMAGES, "norm=noisy_batch", "optimizer=nesterov", "augment=cutout", "schedule=cosine"],
    "spectral": [*IMAGES, "norm=spectral", "optimizer=rmsprop", "augment=mixup", "training.label_smoothing=0.1"],
    "group": [*IMAGES, "norm=group", "norm.num_groups=2", "optimizer=asgd", "training.gradient_clip=1"],
    "rows": [*ROWS, "norm=batch", "optimizer=adagrad", "init=lsuv", "evaluation.statistics=precise"],
    "noise": [*ROWS, "norm=weight", "optimizer=nadam", *(f"noise.{n}=0.1" for n in ("input", "weight", "activation"))],
    "noisy gradients": [*ROWS, "norm=batch", "optimizer=adamw", "noise.gradient=0.01", "signals=full"],
}


@pytest.mark.parametrize("arm", ARMS)
def test_three_replicas_end_with_the_bits_that_each_has_alone(tmp_path, arm):
    experiments = replicas(tmp_path / "together", *ARMS[arm])
    results = run_together(experiments, Silence)
    assert [result["status"] for result in results] == ["done"] * 3
    assert_same_ends(experiments, trained_alone(experiments, tmp_path / "alone"))
    ends = [end(experiment) for experiment in experiments]
    assert ends[0]["rows"] != ends[1]["rows"] != ends[2]["rows"]  # other seeds: or all would be one run


class DrawsFromPyTorch(nn.Module):
    """Noise that knows of no generator, in training and in evaluation, as in somebody else's package."""

    def forward(self, x):
        return x + 0.1 * torch.rand(x.shape) + 0.1 * torch.randn_like(x)


def test_code_that_draws_from_pytorchs_own_generator_has_its_own_state_in_each_replica(tmp_path):
    experiments = replicas(tmp_path / "together", *ROWS)
    experiments = [replace(one, model=nn.Sequential(DrawsFromPyTorch(), one.model)) for one in experiments]
    run_together(experiments, Silence)
    alone = trained_alone(experiments, tmp_path / "alone")
    assert_same_ends(experiments, alone)
    again = moved(experiments[1], tmp_path / "again")
    run_together([again], Silence)  # and it does not depend on the number
    assert_same_ends([again], [alone[1]])


SCHEDULE = """
import sys, time

def odd(step, num_steps, *, how: str, seed: int, victim: int):
    if seed == victim:
        if how == "raise" and step == 7:
            raise ValueError("line one\\nline two")
        if how == "exit" and step == 7:
            sys.exit(3)
        if how == "sleep" and step == 6:  # no evaluation asks for this step's learning rate again
            time.sleep(60)
        if how == "diverge":
            return 1e4 if step == 7 else 1.0
        if how == "stand still":
            return 0.0
    if how == "slow":
        time.sleep(0.002)
    return 1.0
"""
NO_VICTIM = "schedule.victim=-1"


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """A schedule that goes wrong in one seed, as somebody's own package; returns the folder of its config."""
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "odd_schedules.py").write_text(SCHEDULE)
    (tmp_path / "mine" / "schedule").mkdir(parents=True)
    node = {"_target_": "odd_schedules.odd", "_partial_": True, "how": "fine", "seed": "${seed}", "victim": 1}
    (tmp_path / "mine" / "schedule" / "odd.yaml").write_text(yaml.safe_dump(node))
    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    monkeypatch.setenv("BNEXP_PLUGINS", "odd_schedules")
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("how", "status", "error"),
    [
        ("raise", "failed", "ValueError: line one"),
        ("exit", "failed", "SystemExit: 3"),
        ("diverge", "diverged", None),
        ("stand still", "done", None),  # early stopping ends it
    ],
)
def test_a_replica_that_ends_early_leaves_the_others_as_they_are_alone(tmp_path, odd, how, status, error):
    words = [*ROWS, "schedule=odd", f"schedule.how={how}", "model.dropout=0.2", "optimizer.lr=0.01"]
    words += ["training.early_stopping=3"] * (how == "stand still")
    experiments = replicas(tmp_path / "together", *words, user_dirs=[odd])
    results = run_together(experiments, Silence)
    assert [result["status"] for result in results] == ["done", status, "done"]
    assert results[1].get("error") == error
    assert results[1]["steps"] < max(results[0]["steps"], results[2]["steps"]) == 12
    others = [experiments[0], experiments[2]]
    assert_same_ends(others, trained_alone(others, tmp_path / "alone"))
    if status == "failed":
        assert "odd_schedules.py" in (experiments[1].path / "traceback.txt").read_text()
    else:
        assert_same_ends([experiments[1]], trained_alone([experiments[1]], tmp_path / "alone"))


def assert_only_the_second_timed_out(experiments, results, folder):
    assert [result["status"] for result in results] == ["done", "failed", "done"]
    assert results[1]["error"] == "TimedOut: not done after 5 s (training.timeout)"
    # The others' clocks stood still while it slept, which was all of their own time.
    assert all(result["seconds"]["total"] < 4.9 for result in (results[0], results[2]))
    others = [experiments[0], experiments[2]]
    assert_same_ends(others, trained_alone(others, folder))


def test_a_replica_that_hangs_in_a_step_costs_its_own_time_alone(tmp_path, odd):
    words = [*ROWS, "schedule=odd", "schedule.how=sleep", "training.timeout=5"]
    experiments = replicas(tmp_path / "together", *words, user_dirs=[odd])
    results = run_together(experiments, Silence)
    assert_only_the_second_timed_out(experiments, results, tmp_path / "alone")


def test_a_replica_that_hangs_in_its_evaluation_costs_its_own_time_alone(tmp_path, monkeypatch):
    evaluate = Training._evaluate

    def sleepy(self, losses, num_correct):
        if self.seed == 1 and self.progress.num_evaluations == 2:
            time.sleep(60)
        return evaluate(self, losses, num_correct)

    monkeypatch.setattr(Training, "_evaluate", sleepy)
    experiments = replicas(tmp_path / "together", *ROWS, "training.timeout=5")
    results = run_together(experiments, Silence)
    assert_only_the_second_timed_out(experiments, results, tmp_path / "alone")


def stopping(number, error):
    """A reporter for all runs of a pack, that stops it at the ``number``-th step that any of them takes."""
    seen = []

    class Stopping(Silence):
        def step(self, step):
            seen.append(step)
            if len(seen) == number:
                raise error

    return Stopping


def assert_interrupted(experiments):
    for experiment in experiments:
        folder = RunFolder(experiment.path)
        assert read_result(folder)["status"] == "interrupted"
        assert not folder.owner.exists()
        with FileLock(folder.lock, timeout=0):  # is free
            pass


@pytest.mark.parametrize("draw", range(4))
@pytest.mark.parametrize("error", [KeyboardInterrupt, Terminated])
def test_a_pack_that_is_stopped_at_random_goes_on_as_if_it_had_not_been(tmp_path, error, draw):
    words = [*ROWS, "norm=noisy_batch", "model.dropout=0.2", "noise.gradient=0.01", "optimizer=adam"]
    experiments = replicas(tmp_path / "together", *words)
    draws = random.Random(f"{error.__name__} {draw}")
    for _ in range(2):
        with pytest.raises(error):
            run_together(experiments, stopping(draws.randrange(1, 10), error()))
        assert_interrupted(experiments)
    results = run_together(experiments, Silence)
    assert [result["status"] for result in results] == ["done"] * 3
    assert_same_ends(experiments, trained_alone(experiments, tmp_path / "alone"))


def test_replicas_that_stopped_at_different_steps_go_on_together(tmp_path):
    """None of the first, two evaluations of the second, one of the third, and all of the fourth."""
    experiments = replicas(tmp_path / "together", *ROWS, "norm=batch", "model.dropout=0.2", number=4)
    steps = {}
    for experiment, number in zip(experiments[1:3], (6, 4), strict=True):
        with pytest.raises(KeyboardInterrupt):
            run(experiment, stopping(number, KeyboardInterrupt()))
        steps[experiment.name] = load_checkpoint(RunFolder(experiment.path).checkpoint)["progress"]["step"]
    run(experiments[3], Silence)
    begun = {}

    class Noting(Silence):
        def __init__(self, name):
            self.name = name

        def start(self, step, num_steps, batch_size):
            begun[self.name] = step

    results = run_together(experiments, Noting)
    assert [*steps.values()] == [4, 2]
    assert begun == steps | {experiments[0].name: 0}
    assert [result.get("repeated") for result in results] == [None, None, None, False]
    assert_same_ends(experiments, trained_alone(experiments, tmp_path / "alone"))


def test_a_replica_that_somebody_else_is_training_is_left_to_them(tmp_path):
    experiments = replicas(tmp_path / "together", *ROWS)
    experiments[1].path.mkdir(parents=True)
    with FileLock(RunFolder(experiments[1].path).lock):
        results = run_together(experiments, Silence)
    assert [result["status"] for result in results] == ["done", "running", "done"]
    assert [path.name for path in experiments[1].path.iterdir()] == [".lock"]
    others = [experiments[0], experiments[2]]
    assert_same_ends(others, trained_alone(others, tmp_path / "alone"))


def test_the_seconds_of_a_replica_are_its_own(tmp_path, odd):
    class Slow(Silence):
        def row(self, row):
            time.sleep(0.02)

    words = [*ROWS, "schedule=odd", "schedule.how=slow", NO_VICTIM]
    experiments = replicas(tmp_path, *words, user_dirs=[odd])
    began = time.perf_counter()
    results = run_together(experiments, Slow)
    wall = time.perf_counter() - began
    for experiment, result in zip(experiments, results, strict=True):
        rows = [row["seconds"] for row in read_rows(RunFolder(experiment.path).metrics)]
        assert rows == sorted(rows)
        assert rows[-1] == result["seconds"]["train"] >= result["steps"] * 0.002
        assert result["seconds"]["total"] - result["seconds"]["train"] >= len(rows) * 0.02
    assert sum(result["seconds"]["total"] for result in results) <= wall


def test_five_steps_of_three_replicas_are_those_of_one_vectorized_network(tmp_path):
    """An independent way: gradients by ``torch.func`` over stacked weights, and w ← w − lr · gradient."""
    words = ["dataset=two_features", "dataset.num_examples=300", "model=mlp", "model.hidden=[16,16]", "norm=none"]
    words += ["init=he", "optimizer=sgd", "optimizer.lr=0.1", "optimizer.weight_decay=0", "training.batch_size=43"]
    words += ["training.epochs=1", "training.device=cpu", "training.threads=1"]
    experiments = replicas(tmp_path, *words)
    one = experiments[0].model
    weights, buffers = stack_module_state([experiment.model for experiment in experiments])
    assert not buffers
    batches = [
        make_training(experiment, RunFolder(experiment.path), Silence(""), TimeLimit(None)).batches
        for experiment in experiments
    ]

    def loss(weights, inputs, targets):
        return F.cross_entropy(functional_call(one, weights, (inputs,)), targets)

    start = {name: value.detach().clone() for name, value in weights.items()}
    weights = start
    for step in range(5):
        inputs, targets = (torch.stack(parts) for parts in zip(*(own.at(step) for own in batches), strict=True))
        gradients = vmap(grad(loss))(weights, inputs, targets)
        weights = {name: value - 0.1 * gradients[name] for name, value in weights.items()}

    results = run_together(experiments, Silence)
    assert [result["steps"] for result in results] == [5] * 3
    for index, experiment in enumerate(experiments):
        found = load_checkpoint(RunFolder(experiment.path).checkpoint)["model"]
        assert found.keys() == weights.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, weights[name][index], rtol=0, atol=1e-6)
            assert not torch.allclose(value, start[name][index], rtol=0, atol=1e-4)


class Fake:
    """A run of two stretches that remembers what it was told; without networks or folders."""

    def __init__(self, bounds=((0, 2), (2, 4)), seconds=None):
        self.bounds, self.limit = bounds, TimeLimit(seconds)
        self.taken, self.error, self.is_closed = [], None, False

    def __call__(self):
        try:
            for start, end in self.bounds:
                self.taken.append((yield self.stretch(start, end)))
        except Exception as error:
            self.error = error
            return {"status": "failed"}
        finally:
            self.is_closed = True
        return {"status": "done"}

    def stretch(self, start, end):
        def nothing(_=None):
            pass

        return Stretch(start, end, nothing, nothing, nothing, nothing, (), has_fixed_update=True, limit=self.limit)


class Noting:
    """Takes stretches, notes whose they are, and raises an error or two."""

    def __init__(self, fakes, errors=(), seconds=0.5):
        self.limits = [fake.limit for fake in fakes]
        self.errors, self.seconds, self.calls = dict(errors), seconds, []

    def __call__(self, stretches):
        self.calls.append([(self.limits.index(one.limit), one.start, one.end) for one in stretches])
        if len(self.calls) in self.errors:
            raise self.errors[len(self.calls)]
        return Taken(self.seconds, len(stretches))


def drive(fakes, take, at_once):
    return train_in_lockstep([fake() for fake in fakes], take, at_once)


def test_those_furthest_behind_go_next_so_many_at_once_as_want_the_same_steps():
    fakes = [Fake(((2, 4),)), Fake(), Fake(), Fake(((0, 1), (1, 4)))]
    take = Noting(fakes)
    assert [result["status"] for result in drive(fakes, take, at_once=2)] == ["done"] * 4
    assert take.calls == [[(3, 0, 1)], [(1, 0, 2), (2, 0, 2)], [(3, 1, 4)], [(0, 2, 4), (1, 2, 4)], [(2, 2, 4)]]
    assert fakes[1].taken == [Taken(0.5, 2), Taken(0.5, 2)]
    assert fakes[2].taken == [Taken(0.5, 2), Taken(0.5, 1)]


@pytest.mark.parametrize("error", [ValueError("a step"), TimedOut("a step")])
def test_an_error_in_a_step_is_the_error_of_each_run_that_took_it_and_of_no_other(error):
    fakes = [Fake(), Fake(), Fake()]
    take = Noting(fakes, errors={1: error})
    assert [result["status"] for result in drive(fakes, take, at_once=2)] == ["failed", "failed", "done"]
    assert [fake.error for fake in fakes] == [error, error, None]
    assert take.calls[1:] == [[(2, 0, 2)], [(2, 2, 4)]]


def test_when_the_runs_are_stopped_each_is_closed():
    fakes = [Fake(), Fake(), Fake()]
    with pytest.raises(KeyboardInterrupt):
        drive(fakes, Noting(fakes, errors={2: KeyboardInterrupt()}), at_once=2)
    assert all(fake.is_closed for fake in fakes)
    assert [len(fake.taken) for fake in fakes] == [1, 1, 0]


def test_runs_that_took_steps_together_spend_their_shares_of_the_time():
    fakes = [Fake(seconds=100.0), Fake(seconds=50.0), Fake()]
    drive(fakes, Noting(fakes, seconds=2.0), at_once=3)
    # The alarm of the one with the least time left times the block, which took no time; the others are told.
    assert [fake.limit.left for fake in fakes] == [96.0, pytest.approx(50.0, abs=0.5), float("inf")]
