"""How steps come to be taken by a CUDA graph, with a stand-in for the GPU: each once, in order, whatever happens."""

import warnings
from contextlib import contextmanager, nullcontext
from itertools import count

import pytest
import torch
from tests.training.small_run import assert_same_state, recorded
from torch.torch_version import TorchVersion

from bnexp import run as running
from bnexp.config.compose import compose_replicas
from bnexp.errors import Terminated, TimedOut
from bnexp.experiment import prepare
from bnexp.run import make_training
from bnexp.training import graph as graphs
from bnexp.training import loop
from bnexp.training.checkpoint import load_checkpoint
from bnexp.training.graph import WARM_UP, GraphedSteps, side_stream
from bnexp.training.lockstep import train_in_lockstep
from bnexp.training.loop import Training
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder
from bnexp.training.state import restore
from bnexp.training.stretch import Stretch, take_step_by_step
from bnexp.training.timeout import TimeLimit


class Graph:
    """What was launched while it was captured, to be done at each replay."""

    def __init__(self):
        self.nodes, self.generators, self.num_replays = [], [], 0

    def register_generator_state(self, generator):
        self.generators.append(generator)

    def replay(self):
        self.num_replays += 1
        for work in self.nodes:
            work()


class Stream:
    """A stream of the stand-in; it knows which others' work has to be done before its own."""

    def __init__(self, cuda):
        self.cuda, self.behind = cuda, set()

    def wait_stream(self, other):
        cuda = self.cuda
        if self in cuda.capturing and other not in cuda.capturing:
            cuda.is_valid = False
            raise RuntimeError("dependency created on uncaptured work in another stream")
        if other in cuda.capturing:
            cuda.capturing.add(self)
        cuda.loose.discard(other)
        self.behind = {other}


class Cuda:
    """What ``GraphedSteps`` asks of ``torch.cuda``, under the names there, with CUDA's rules of captures."""

    def __init__(self):
        self.main, self.capture_stream = Stream(self), Stream(self)
        self.current, self.mode = self.main, 0
        self.capturing, self.loose, self.is_valid = set(), set(), True
        self.graphs, self.streams, self.num_broken = [], [], 0

    def launch(self, work):
        """Do some work on the current stream: at once, or at every replay where it is captured."""
        before = self.capture_stream if self.capturing else self.main
        assert self.current is before or self.current.behind == {before}
        self.loose.add(self.current)
        self.streams.append(self.current)
        if self.capturing:
            assert self.current in self.capturing
            self.graphs[-1].nodes.append(work)
        else:
            work()

    def wait(self):
        """Wait for the GPU, as ``.item()`` does."""
        if self.capturing:
            self.is_valid = False
            raise RuntimeError("operation not permitted when stream is capturing")
        if self.mode == "warn":
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(self, graph):
        """A capture, as PyTorch 2.11 has it: where it fails, its stream stays the current one."""
        before, self.current = self.current, self.capture_stream
        self.capturing, self.loose = {self.current}, set()
        self.graphs.append(graph)
        try:
            yield
        finally:
            is_whole = self.is_valid and not self.loose
            self.capturing, self.is_valid = set(), True
            if not is_whole:
                self.num_broken += 1
                raise RuntimeError("operation failed due to a previous error during capture")
            self.current = before


@pytest.fixture
def cuda(monkeypatch):
    cuda = Cuda()
    side_stream.cache_clear()
    for name, stand_in in {
        "CUDAGraph": Graph,
        "Stream": lambda device: Stream(cuda),
        "current_device": lambda: 0,
        "current_stream": lambda: cuda.current,
        "get_sync_debug_mode": lambda: cuda.mode,
        "set_sync_debug_mode": lambda mode: setattr(cuda, "mode", mode),
        "graph": cuda.graph,
        "stream": cuda.stream,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    yield cuda
    assert cuda.current is cuda.main
    assert cuda.mode == 0
    side_stream.cache_clear()


class Run:
    """A run whose step notes which one it is when the GPU gets to it; ``at_call`` acts at a call of the step."""

    def __init__(self, cuda, at_call=lambda number: None, *, has_fixed_update=True):
        self.cuda, self.at_call, self.has_fixed_update = cuda, at_call, has_fixed_update
        self.position, self.num_calls, self.done, self.told, self.lines = -1, 0, [], [], []

    def seek(self, index):
        assert not self.cuda.capturing, "a copy to the device would be captured"
        self.position = index

    def step(self):
        self.num_calls += 1
        self.at_call(self.num_calls)
        self.cuda.launch(lambda: self.done.append(self.position))

    def stretch(self, start, end):
        return Stretch(
            start,
            end,
            self.seek,
            self.step,
            self.told.append,
            self.lines.append,
            [self],
            has_fixed_update=self.has_fixed_update,
            limit=TimeLimit(None),
        )


def take_all(take, runs, *bounds):
    return [take([run.stretch(*some) for run in runs]) for some in bounds]


@pytest.mark.parametrize("number", [1, 3])
def test_each_step_is_taken_once_and_in_order_and_all_but_the_first_by_the_graph(cuda, number):
    runs = [Run(cuda) for _ in range(number)]
    taken = take_all(GraphedSteps(required=True), runs, (0, 2), (2, 3), (3, 9), (9, 10))
    for run in runs:
        assert run.done == [*range(10)]
        assert run.told == [*range(1, 11)]
        assert run.num_calls == WARM_UP + 1
        assert run.lines == []
    assert [one.graph for one in taken] == [False, False, True, True]
    assert {one.replicas for one in taken} == {number}
    assert [graph.num_replays for graph in cuda.graphs] == [10 - WARM_UP]
    assert len(set(cuda.streams)) == number  # a stream for each, the same one every time
    assert not {cuda.main, cuda.capture_stream} & set(cuda.streams)


def test_the_seconds_are_the_wall_clock_s_in_equal_shares(cuda, monkeypatch):
    ticks = count(10.0, 6.0)
    monkeypatch.setattr(graphs.clock, "now", lambda: next(ticks))
    (taken,) = take_all(GraphedSteps(required=True), [Run(cuda), Run(cuda), Run(cuda)], (0, 5))
    assert taken.seconds == 2.0


def test_when_a_run_ends_the_others_go_on_in_a_graph_of_their_own(cuda):
    first, second, third = runs = [Run(cuda) for _ in range(3)]
    take = GraphedSteps(required=True)
    take_all(take, runs, (0, 5))
    (taken,) = take_all(take, [first, third], (5, 9))
    assert [run.done for run in runs] == [[*range(9)], [*range(5)], [*range(9)]]
    assert [run.num_calls for run in runs] == [5, 4, 5]  # one more, which is captured and no step by itself
    assert taken == (taken.seconds, 2, True)
    assert [graph.num_replays for graph in cuda.graphs] == [2, 4]
    assert second.step not in take.num_warm  # or its network would stay on the GPU


def test_when_a_run_joins_all_warm_up_again_and_lose_no_step(cuda):
    first, second = Run(cuda), Run(cuda)
    take = GraphedSteps(required=True)
    take_all(take, [first], (0, 6))
    taken = take_all(take, [first, second], (6, 8), (8, 12))
    assert first.done == [*range(12)]
    assert second.done == [*range(6, 12)]
    assert [one.graph for one in taken] == [False, True]
    assert [graph.num_replays for graph in cuda.graphs] == [3, 3]


@pytest.mark.parametrize(("version", "is_told"), [("2.11.0+cu128", True), ("2.13.1", True), ("2.14.0", False)])
def test_old_versions_are_told_of_the_generators_and_new_ones_would_warn_of_it(cuda, monkeypatch, version, is_told):
    monkeypatch.setattr(torch, "__version__", TorchVersion(version))
    runs = [Run(cuda), Run(cuda)]
    take_all(GraphedSteps(required=True), runs, (0, 5))
    assert set(cuda.graphs[0].generators) == (set(runs) if is_told else set())


def waits(cuda, *calls):
    return lambda number: cuda.wait() if number in calls else None


def test_a_step_that_waits_is_never_captured(cuda):
    runs = [Run(cuda), Run(cuda, waits(cuda, *range(100)))]
    taken = take_all(GraphedSteps(required=False), runs, (0, 5), (5, 9))
    for run in runs:
        assert run.done == [*range(9)]
        assert run.told == [*range(1, 10)]
        assert run.num_calls == 9
    assert [one.graph for one in taken] == [False, False]
    assert runs[0].lines == [
        "a step waits for the device, so that no graph can hold it; each operation is launched by itself"
    ]
    assert cuda.graphs == []


def test_a_step_that_waits_is_an_error_where_a_graph_is_required(cuda):
    run = Run(cuda, waits(cuda, *range(100)))
    with pytest.raises(
        RuntimeError, match=r"^training\.graph=on: a step waits for the device, .*training\.graph=auto$"
    ):
        take_all(GraphedSteps(required=True), [run], (0, 9))
    assert cuda.graphs == []


def test_what_waits_in_the_first_two_steps_alone_is_no_obstacle(cuda):
    run = Run(cuda, waits(cuda, 1, 2))  # an optimizer that makes its state, say
    take_all(GraphedSteps(required=True), [run], (0, 9))
    assert run.done == [*range(9)]


def test_an_update_that_needs_the_host_is_never_captured(cuda):
    runs = [Run(cuda), Run(cuda, has_fixed_update=False)]
    with pytest.raises(RuntimeError, match="its optimizer's update needs the host"):
        take_all(GraphedSteps(required=True), runs, (0, 5))
    assert [run.done for run in runs] == [[], []]
    taken = take_all(GraphedSteps(required=False), runs, (0, 5), (5, 6))
    assert [run.done for run in runs] == [[*range(6)], [*range(6)]]
    assert [one.graph for one in taken] == [False, False]
    assert len(runs[0].lines) == 1
    assert set(cuda.streams) == {cuda.main}


def fails(error, call):
    def at_call(number):
        if number == call:
            raise error

    return at_call


@pytest.mark.parametrize("call", range(1, WARM_UP + 2))
@pytest.mark.parametrize("error", [ValueError("a step"), TimedOut("a step"), KeyboardInterrupt(), Terminated()])
def test_an_error_in_a_step_comes_out_as_it_is_and_leaves_no_capture_behind(cuda, error, call):
    first, second, third = Run(cuda), Run(cuda, fails(error, call)), Run(cuda)
    take = GraphedSteps(required=True)
    with pytest.raises(type(error)) as caught:
        take_all(take, [first, second, third], (0, 9))
    assert caught.value is error
    assert not take.is_broken
    assert cuda.num_broken == 0
    assert cuda.current is cuda.main
    assert not cuda.loose, "work that nobody waits for, in memory that is used again"
    third.done.clear()
    take_all(take, [third], (0, 9))
    assert third.done == [*range(9)]


def test_an_interruption_that_breaks_a_capture_is_still_an_interruption(cuda):
    def interrupted(number):
        if number == WARM_UP + 1:
            cuda.is_valid = False
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_all(GraphedSteps(required=True), [Run(cuda, interrupted)], (0, 9))


def test_a_capture_that_fails_is_told_and_leaves_the_stream(cuda):
    run = Run(cuda, waits(cuda, WARM_UP + 1))
    take = GraphedSteps(required=False)
    with pytest.raises(RuntimeError, match="previous error during capture"):
        take_all(take, [run], (0, 9))
    assert take.is_broken
    assert run.lines == ["the capture of a CUDA graph failed: operation not permitted when stream is capturing"]
    assert run.done == [0, 1, 2]
    assert cuda.current is cuda.main
    take_all(take, [run], (3, 9))  # one that comes to nothing is not taken for one that is there
    assert run.done == [*range(9)]


ROWS = ["dataset=two_features", "dataset.num_examples=300", "training.batch_size=32", "training.device=cpu"]
ROWS += ["training.threads=1", "training.epochs=2", "training.eval_every=0.4", "model=mlp", "model.width=8"]
MUCH = [*ROWS, "model.dropout=0.2", "norm=noisy_batch", "optimizer=momentum", "schedule=cosine", "augment=mixup"]
MUCH += ["augment.padding=null", "noise.input=0.1", "noise.weight=0.1", "noise.gradient=0.01"]


@pytest.fixture
def launched(cuda, monkeypatch):
    """Let real runs on the CPU take their steps as if they were launched on a GPU; ``step`` may be replaced."""

    def step(training):
        cuda.launch(lambda: taken(training))

    taken = Training._step
    monkeypatch.setattr(Training, "_step", step)
    monkeypatch.setattr(loop, "has_fixed_update", lambda optimizer: True)
    return cuda


def experiments(folder, *words, number=3):
    words = [*words, f"training.replicas={number}", f"output_dir={folder}"]
    return [prepare(*composed) for composed in compose_replicas(words)]


def train(runs, take, at_once, reporting=Silence):
    return train_in_lockstep([running._run(one, reporting) for one in runs], take, at_once)


def assert_same_ends(runs, others):
    for one, other in zip(runs, others, strict=True):
        found, expected = (load_checkpoint(RunFolder(run.path).checkpoint) for run in (one, other))
        for key in ("model", "optimizer", "generators", "global"):
            assert_same_state(found[key], expected[key])
        rows = (recorded(run.path) for run in (one, other))
        assert len({tuple(map(str, some)) for some in rows}) == 1


def test_runs_by_a_graph_have_the_bits_of_each_alone_without_one(tmp_path, launched):
    words = [*MUCH, "training.eval_every=1", "signals=full"]
    together, alone = experiments(tmp_path / "together", *words), experiments(tmp_path / "alone", *words)
    results = train(together, GraphedSteps(required=True), 3)
    assert [result["launch"]["graph"] for result in results] == [True] * 3
    assert [result["launch"]["replicas"] for result in results] == [3] * 3
    train(alone, take_step_by_step, 1)
    assert_same_ends(together, alone)


class Stopping(Silence):
    """Stops everything at the tenth step that any run takes."""

    seen = count(1)

    def step(self, step):
        if next(self.seen) == 10:
            raise KeyboardInterrupt


def test_a_run_goes_on_by_a_graph_from_where_one_without_was_stopped(tmp_path, launched):
    stopped, whole = experiments(tmp_path / "stopped", *MUCH), experiments(tmp_path / "whole", *MUCH)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, take_step_by_step, 1, Stopping)
    train(stopped, GraphedSteps(required=True), 3)
    train(whole, take_step_by_step, 1)
    assert_same_ends(stopped, whole)


def test_a_resumed_run_keeps_the_learning_rate_that_its_steps_read(tmp_path, launched):
    """A checkpoint is loaded to the CPU, and a graph would hold the value that such a tensor had at the capture."""
    (one,) = experiments(tmp_path, *ROWS, number=1)
    train([one], take_step_by_step, 1)
    training = make_training(one, RunFolder(one.path), Silence(""), TimeLimit(None))
    rates = [group["lr"] for group in training.parts.optimizer.param_groups]
    restore(load_checkpoint(RunFolder(one.path).checkpoint), training.parts)
    assert all(isinstance(rate, torch.Tensor) for rate in rates)
    for group, rate in zip(training.parts.optimizer.param_groups, rates, strict=True):
        assert group["lr"] is rate


def test_replicas_that_stop_early_leave_the_others_the_bits_that_they_have_alone(tmp_path, launched):
    words = [*ROWS, "training.early_stopping=1", "training.epochs=4", "model.dropout=0.5", "optimizer.lr=0.5"]
    together, alone = experiments(tmp_path / "together", *words), experiments(tmp_path / "alone", *words)
    results = train(together, GraphedSteps(required=True), 3)
    assert len({result["steps"] for result in results}) > 1
    train(alone, take_step_by_step, 1)
    assert_same_ends(together, alone)


@pytest.mark.parametrize(("graph", "status"), [("auto", "done"), ("on", "failed")])
@pytest.mark.parametrize("number", [1, 2])
def test_where_no_graph_can_be_made_runs_go_on_without_unless_they_must_have_one(
    tmp_path, launched, monkeypatch, graph, status, number
):
    words = [*ROWS, "norm=batch", "model.dropout=0.2", f"training.graph='{graph}'"]
    whole = experiments(tmp_path / "whole", *ROWS, "norm=batch", "model.dropout=0.2", number=number)
    train(whole, take_step_by_step, 1)
    step = Training._step

    def out_of_memory(training):
        if launched.capturing:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate much")
        step(training)

    monkeypatch.setattr(Training, "_step", out_of_memory)
    monkeypatch.setattr("bnexp.experiment.check_launch", lambda *_: None)
    monkeypatch.setattr(running, "run", lambda one, reporting: running._with_graph([one], reporting)[0])
    monkeypatch.setattr(running, "as_current", lambda device: nullcontext())
    runs = experiments(tmp_path / "runs", *words, number=number)
    results = running._with_graph(runs, Silence)
    assert [result["status"] for result in results] == [status] * number
    if status == "done":
        assert {result["launch"]["graph"] for result in results} == {False}
        assert_same_ends(runs, whole)
    else:
        assert {result["error"] for result in results} == {
            "OutOfMemoryError: CUDA out of memory. Tried to allocate much"
        }
