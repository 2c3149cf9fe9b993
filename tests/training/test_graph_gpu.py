"""Training by a CUDA graph, on a GPU: the numbers of one launch after another, for one run and for several at once."""

import pytest
import torch
from tests.training.small_run import assert_same_state, recorded

from bnexp.config.compose import compose_replicas
from bnexp.config.folder import choices, config_dir
from bnexp.experiment import prepare
from bnexp.replicas import num_side_by_side
from bnexp.run import run, run_together
from bnexp.training.checkpoint import load_checkpoint
from bnexp.training.loop import Training
from bnexp.training.progress import Silence
from bnexp.training.record import RunFolder, read_rows
from bnexp.training.step import Step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

GPU = ["training.device=cuda", "training.threads=1", "training.epochs=3", "schedule=cosine", "init=he"]
MLP = [*GPU, "model=mlp", "model.width=64", "norm=batch", "model.dropout=0.2"]
CONVNET = [*GPU, "model=convnet", "model.width=8", "norm=batch"]
RESNET = [*GPU, "model=resnet", "model.depth=8", "model.width=8", "norm=batch"]
NOISE = [f"noise.{place}=0.01" for place in ("input", "weight", "activation", "gradient")]
ON, OFF, AUTO = ("training.graph='on'",), ("training.graph='off'",), ("training.graph='auto'",)


def replicas(folder, *words, number=1):
    words = [*words, f"training.replicas={number}", f"output_dir={folder}"]
    return [prepare(*composed) for composed in compose_replicas(words)]


def trained(folder, *words, number=1):
    experiments = replicas(folder, *words, number=number)
    results = run_together(experiments, Silence)
    assert [result["status"] for result in results] == ["done"] * number, [one.get("error") for one in results]
    return experiments, results


def state(experiment):
    return load_checkpoint(RunFolder(experiment.path).checkpoint)


def weights(experiment):
    return torch.cat([value.flatten().double() for value in state(experiment)["model"].values()])


def assert_same_ends(experiments, others):
    """Bit by bit: weights, running averages, generators, rows."""
    for one, other in zip(experiments, others, strict=True):
        for key in ("model", "generators"):
            assert_same_state(state(one)[key], state(other)[key])
        assert recorded(one.path) == recorded(other.path)


@pytest.mark.parametrize("optimizer", choices([config_dir()], "optimizer"))
def test_the_bits_are_those_without_a_graph_with_each_optimizer_dropout_and_all_noise(tmp_path, optimizer):
    words = [*MLP, *NOISE, f"optimizer={optimizer}", "training.label_smoothing=0.1", "training.gradient_clip=1"]
    if optimizer in ("gd", "rprop"):
        words += ["training.batch_size=full", "training.epochs=12"]
    if optimizer == "rprop":
        words += ["schedule=constant"]
    with_graph, (result,) = trained(tmp_path / "on", *words, *ON)
    without, (other,) = trained(tmp_path / "off", *words, *OFF)
    assert (result["launch"]["graph"], other["launch"]["graph"]) == (True, False)
    assert_same_ends(with_graph, without)


@pytest.mark.parametrize("norm", ["noisy_batch", "ghost_batch", "spectral", "weight", "mean_only_batch", "layer"])
def test_so_are_they_with_norms_that_keep_or_draw_something(tmp_path, norm):
    words = [*MLP, f"norm={norm}", "training.batch_size=256"]
    with_graph, _ = trained(tmp_path / "on", *words, *ON)
    without, _ = trained(tmp_path / "off", *words, *OFF)
    assert_same_ends(with_graph, without)


def test_in_bfloat16_too(tmp_path):
    words = [*MLP, "training.precision=bf16"]
    with_graph, _ = trained(tmp_path / "on", *words, *ON)
    without, _ = trained(tmp_path / "off", *words, *OFF)
    assert_same_ends(with_graph, without)


def test_a_convnet_s_weights_differ_no_more_than_those_of_two_runs_without(tmp_path):
    """Its pools sum gradients in any order."""
    words = [*CONVNET, "augment=crop_flip", "augment.padding=1"]
    ((one,), _), ((other,), _) = (trained(tmp_path / name, *words, *OFF) for name in ("one", "other"))
    ((graphed,), _) = trained(tmp_path / "graphed", *words, *ON)
    spread = (weights(one) - weights(other)).norm()
    assert (weights(graphed) - weights(one)).norm() <= 10 * spread
    assert spread <= 0.1 * weights(one).norm()


class Interrupting(Silence):
    """Interrupts a run after its second evaluation."""

    def __init__(self, name):
        super().__init__(name)
        self.num_rows = 0

    def row(self, row):
        self.num_rows += 1
        if self.num_rows == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("first", "second"), [(ON, ON), (ON, OFF), (OFF, ON)], ids=["on-on", "on-off", "off-on"])
@pytest.mark.parametrize("optimizer", ["momentum", "adam", "rmsprop"])
def test_a_run_goes_on_as_if_it_had_not_stopped_with_or_without_a_graph(tmp_path, first, second, optimizer):
    """The schedule falls, so that a learning rate that stayed what it was would show."""
    words = [*MLP, *NOISE, f"optimizer={optimizer}", "training.epochs=5"]
    whole, _ = trained(tmp_path / "whole", *words, *OFF)
    with pytest.raises(KeyboardInterrupt):
        run_together(replicas(tmp_path / "parts", *words, *first), Interrupting)
    parts, _ = trained(tmp_path / "parts", *words, *second)
    assert_same_ends(parts, whole)


def test_three_replicas_have_the_bits_of_each_alone_each_in_its_folder(tmp_path):
    words = [*MLP, *NOISE, *ON]
    together, results = trained(tmp_path / "together", *words, number=3)
    assert [result["launch"] | {"graph": True, "replicas": 3} == result["launch"] for result in results] == [True] * 3
    assert len({experiment.path for experiment in together}) == 3
    alone = replicas(tmp_path / "alone", *words, number=3)
    for experiment in alone:
        run(experiment, Silence)
    assert_same_ends(together, alone)
    assert not torch.equal(weights(together[0]), weights(together[1]))


@pytest.mark.parametrize("how", ["diverges", "stops early"])
def test_a_replica_that_ends_early_leaves_the_others_as_they_are_alone(tmp_path, monkeypatch, how):
    evaluate = Training._evaluate

    def evaluated(training, losses, num_correct):
        row = evaluate(training, losses, num_correct)
        if training.seed == 1 and training.progress.num_evaluations == 2:
            if how == "diverges":
                with torch.no_grad():
                    next(training.parts.model.parameters()).fill_(float("nan"))
            else:
                training.progress.evaluations_since_best = 99
        return row

    words = [*MLP, *ON, "training.epochs=5", "training.early_stopping=50"]
    alone = replicas(tmp_path / "alone", *words, number=3)
    for experiment in alone:
        run(experiment, Silence)
    monkeypatch.setattr(Training, "_evaluate", evaluated)
    together = replicas(tmp_path / "together", *words, number=3)
    results = run_together(together, Silence)
    ended = "diverged" if how == "diverges" else "done"
    assert [result["status"] for result in results] == ["done", ended, "done"]
    assert results[1]["steps"] < results[0]["steps"] == results[2]["steps"]
    assert [result["launch"]["replicas"] for result in (results[0], results[2])] == [2, 2]
    assert_same_ends([together[0], together[2]], [alone[0], alone[2]])


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_signals_leave_no_trace_in_runs_by_a_graph(tmp_path, optimizer):
    words = [*MLP, *NOISE, *ON, f"optimizer={optimizer}"]
    seen, _ = trained(tmp_path / "full", *words, "signals=full", number=2)
    plain, _ = trained(tmp_path / "off", *words, "signals=off", number=2)
    for one, other in zip(seen, plain, strict=True):
        assert torch.equal(weights(one), weights(other))
        assert any(key.startswith("signal/") for key in read_rows(RunFolder(one.path).metrics)[-1])


def test_deterministic_runs_by_a_graph_have_the_same_bits_twice(tmp_path, bnexp):
    """In processes of their own: cuBLAS has to be told before its first product."""
    for name in ("one", "other"):
        words = [*RESNET, *ON, "training.deterministic=true", "training.replicas=2", f"output_dir={tmp_path / name}"]
        done = bnexp("train", *words)
        assert done.returncode == 0, done.stderr
    one, other = (sorted((tmp_path / name).glob("*/*/checkpoint.pt")) for name in ("one", "other"))
    assert len(one) == len(other) == 2
    for path, twin in zip(one, other, strict=True):
        assert_same_state(load_checkpoint(path)["model"], load_checkpoint(twin)["model"])


def waiting(monkeypatch, when):
    call = Step.__call__

    def waits(step, inputs, targets):
        call(step, inputs, targets)
        if when():
            step.num_correct.item()

    monkeypatch.setattr(Step, "__call__", waits)


def test_a_step_that_waits_goes_on_without_a_graph_or_is_an_error(tmp_path, monkeypatch):
    plain, _ = trained(tmp_path / "plain", *MLP, *OFF)
    with monkeypatch.context() as patch:
        waiting(patch, lambda: True)
        waited, (result,) = trained(tmp_path / "auto", *MLP, *AUTO)
        assert result["launch"]["graph"] is False
        assert_same_ends(waited, plain)
        (result,) = run_together(replicas(tmp_path / "on", *MLP, *ON), Silence)
        assert result["error"].startswith("RuntimeError: training.graph=on: a step waits for the device")
    after, (result,) = trained(tmp_path / "after", *MLP, *ON)
    assert result["launch"]["graph"] is True
    assert_same_ends(after, plain)


def test_a_run_whose_capture_is_interrupted_goes_on_by_a_graph(tmp_path, monkeypatch):
    plain, _ = trained(tmp_path / "plain", *MLP, *OFF)
    call = Step.__call__

    def interrupted(step, inputs, targets):
        call(step, inputs, targets)
        if torch.cuda.is_current_stream_capturing():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_together(replicas(tmp_path / "parts", *MLP, *ON), Silence)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    parts, (result,) = trained(tmp_path / "parts", *MLP, *ON)
    assert result["launch"]["graph"] is True
    assert_same_ends(parts, plain)


def test_seeds_of_a_small_convnet_pay_side_by_side_and_the_trial_leaves_nothing_behind(tmp_path):
    (experiment,) = replicas(tmp_path, *CONVNET)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    assert num_side_by_side(experiment, 4) >= 2
    assert torch.cuda.memory_allocated() - before < 2**30  # cuBLAS keeps some for each stream
    assert not experiment.path.exists()


def test_a_trial_of_a_run_that_evaluates_after_each_step_is_no_trouble(tmp_path):
    (experiment,) = replicas(tmp_path, *MLP, "training.batch_size=full")
    assert 1 <= num_side_by_side(experiment, 2) <= 2
    torch.cuda.synchronize()  # would raise what a kernel ran into


def test_runs_one_after_another_do_not_gather_memory(tmp_path):
    allocated = []
    for number in range(4):
        trained(tmp_path / str(number), *MLP, *NOISE, *ON, number=2)
        torch.cuda.synchronize()
        allocated.append(torch.cuda.memory_allocated())
    assert allocated[-1] <= allocated[1]


def test_a_generator_goes_on_through_graphs_as_it_does_without_and_can_be_set_between_replays():
    def draws(number):
        """Numbers of ``number`` steps by two graphs, with the state taken and put back on the way."""
        generator, out = torch.Generator("cuda").manual_seed(3), torch.empty(1000, device="cuda")
        found = []
        for _ in range(2):
            graph = torch.cuda.CUDAGraph()
            if torch.__version__ < "2.14":
                graph.register_generator_state(generator)
            with torch.cuda.graph(graph):
                out.normal_(generator=generator)
            for _ in range(number // 2):
                saved = generator.get_state()
                generator.manual_seed(0)
                graph.replay()
                generator.set_state(saved)
                graph.replay()
                found.append(out.clone())
        return torch.stack(found), generator.get_state()

    generator = torch.Generator("cuda").manual_seed(3)
    expected = torch.stack([torch.empty(1000, device="cuda").normal_(generator=generator) for _ in range(6)])
    found, end = draws(6)
    assert torch.equal(found, expected)
    assert torch.equal(end, generator.get_state())


# The last one, as versions of PyTorch up to 2.12 never get over a capture that failed inside CUDA.
def test_where_the_capture_fails_a_run_goes_on_without_and_so_do_those_after_it(tmp_path, monkeypatch):
    plain, _ = trained(tmp_path / "plain", *MLP, *OFF)
    with monkeypatch.context() as patch:
        waiting(patch, torch.cuda.is_current_stream_capturing)
        broken, (result,) = trained(tmp_path / "broken", *MLP, *AUTO)
        assert result["launch"]["graph"] is False
        assert_same_ends(broken, plain)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    after, _ = trained(tmp_path / "after", *MLP, *AUTO)
    assert_same_ends(after, plain)
