"""How many seeds go side by side: the trial's arithmetic, with a stand-in for the GPU and real steps on the CPU."""

import sys
from contextlib import nullcontext

import pytest
import torch

from bnexp import replicas
from bnexp.config.compose import compose_run
from bnexp.experiment import prepare
from bnexp.replicas import NUM_STEPS, num_side_by_side
from bnexp.training.graph import WARM_UP
from bnexp.training.stretch import Taken

ROWS = ["dataset=two_features", "dataset.num_examples=300", "training.batch_size=32", "training.device=cpu"]
ROWS += ["training.threads=1", "model=mlp", "model.width=8"]


class Gpu:
    """Takes steps on the CPU and says how long a replica's share was: ``seconds`` by the number of replicas."""

    def __init__(self):
        self.seconds, self.errors, self.has_graph = {}, {}, True
        self.free, self.reserved, self.each = 100.0, 7.0, 1.0
        self.num_steps, self.num_cleaned = {}, 0

    def graphed_steps(self, *, required):
        assert not required
        return self.take

    def take(self, stretches):
        number = len(stretches)
        self.reserved = 7.0 + number * self.each
        if number in self.errors:
            raise self.errors[number]
        for stretch in stretches:
            assert stretch.start == 0
            for index in range(stretch.end):
                stretch.seek(index)
                stretch.step()  # which fails where there is no place for its loss
        so_far = self.num_steps.get(number, 0) + stretches[0].end
        self.num_steps[number] = so_far
        return Taken(self.seconds[number] * stretches[0].end, number, self.has_graph and so_far > WARM_UP)

    def empty_cache(self):
        self.num_cleaned += 1
        self.reserved = 7.0


@pytest.fixture
def gpu(monkeypatch):
    gpu = Gpu()
    monkeypatch.setattr(replicas, "GraphedSteps", gpu.graphed_steps)
    monkeypatch.setattr(replicas, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(replicas, "as_current", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "empty_cache", gpu.empty_cache)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (gpu.free, 1000.0))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: gpu.reserved)
    return gpu


def experiment(folder, *words):
    return prepare(*compose_run([*ROWS, *words, f"output_dir={folder}"]))


@pytest.mark.parametrize(
    ("seconds", "wanted", "expected"),
    [
        ({1: 1.0, 8: 0.2}, 8, 8),
        ({1: 1.0, 8: 0.97, 4: 0.9}, 8, 4),  # a little cheaper does not pay
        ({1: 1.0, 8: 2.0, 4: 1.5, 2: 0.5}, 8, 2),
        ({1: 1.0, 3: 2.0}, 3, 1),
        ({1: 1.0}, 1, 1),
    ],
)
def test_as_many_as_are_cheaper_than_one(tmp_path, gpu, seconds, wanted, expected):
    gpu.seconds = seconds
    assert num_side_by_side(experiment(tmp_path), wanted) == expected
    assert gpu.num_steps == dict.fromkeys(seconds, WARM_UP + 1 + NUM_STEPS)
    assert [*tmp_path.iterdir()] == []
    assert gpu.reserved == 7.0  # what the trial has held is given back


def test_no_more_than_fit_into_four_fifths_of_the_free_memory(tmp_path, gpu):
    gpu.seconds, gpu.free, gpu.each = {1: 1.0, 3: 0.3}, 12.0, 3.0
    assert num_side_by_side(experiment(tmp_path), 8) == 3


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("CUDA out of memory"), RuntimeError("a capture")])
def test_where_so_many_do_not_work_fewer_are_tried(tmp_path, gpu, error):
    gpu.seconds, gpu.errors = {1: 1.0, 4: 0.4}, {8: error}
    assert num_side_by_side(experiment(tmp_path), 8) == 4


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("CUDA out of memory"), ValueError("somebody's model")])
def test_what_fails_alone_is_left_to_the_run_to_tell(tmp_path, gpu, error):
    gpu.errors = {1: error}
    assert num_side_by_side(experiment(tmp_path), 8) == 1


def test_without_a_graph_one_by_one(tmp_path, gpu):
    gpu.seconds, gpu.has_graph = {1: 1.0}, False
    assert num_side_by_side(experiment(tmp_path), 8) == 1


@pytest.mark.parametrize("words", [["training.batch_size=full"], ["training.eval_every=0.2"], ["training.epochs=1"]])
def test_a_trial_of_a_run_with_few_steps_between_evaluations_has_a_place_for_each_loss(tmp_path, gpu, words):
    gpu.seconds = {1: 1.0, 2: 0.5}
    assert num_side_by_side(experiment(tmp_path, *words), 2) == 2
    assert set(gpu.num_steps.values()) == {WARM_UP + 1 + NUM_STEPS}


def test_numbers_are_computed_as_in_the_run_itself(tmp_path, gpu):
    """PyTorch looks once, at the first product, whether cuBLAS was told to be deterministic."""
    gpu.seconds = {1: 1.0}
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        num_side_by_side(experiment(tmp_path, "training.deterministic=true"), 1)
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("words", [["training.graph='off'"], ["training.compile=true"]])
def test_what_has_no_graph_by_choice_is_not_tried(tmp_path, gpu, monkeypatch, words):
    monkeypatch.setenv("CXX", sys.executable)  # a compiler is asked for, and nothing is compiled here
    assert num_side_by_side(experiment(tmp_path, *words), 8) == 1
    assert gpu.num_steps == {}
