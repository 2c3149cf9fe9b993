"""Every normalizer on a CUDA device: the numbers of the CPU, and a training step inside a CUDA graph."""

import copy
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from bnexp.nn import norms
from bnexp.nn.statistics import batch_statistics, population_statistics_

pytestmark = pytest.mark.gpu

CONFIGS = Path(__file__).parents[2] / "configs" / "norm"
EVERY = pytest.mark.parametrize("choice", sorted(path.stem for path in CONFIGS.glob("*.yaml")))


def near(choice):
    """Tolerance in float64; the gradient of PyTorch's CUDA kernel of weight norm was seen to err by 2e-7."""
    tolerance = 1e-5 if choice in ("weight", "mean_only_batch") else 1e-8
    return {"rtol": tolerance, "atol": tolerance}


def network(choice, **changes):
    """Two convolutions and a linear layer, normalized with the defaults of ``choice``."""
    node = yaml.safe_load((CONFIGS / f"{choice}.yaml").read_text()) | changes
    norm = getattr(norms, node.pop("_target_").rpartition(".")[2])(**node)
    torch.manual_seed(0)
    return nn.Sequential(
        norm.weight(nn.Conv2d(3, 16, 3)), norm.features(16, True), nn.Tanh(),
        norm.weight(nn.Conv2d(16, 32, 3)), norm.features(32, True), nn.Tanh(),
        nn.AvgPool2d(4), nn.Flatten(), norm.weight(nn.Linear(32, 10)),
    )  # fmt: skip


def images(num_examples=64, seed=1):
    return torch.randn(num_examples, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@EVERY
def test_outputs_gradients_and_buffers_are_those_of_the_cpu(choice):
    quiet = {"max_shift": 0.0, "max_scale": 1.0, "jitter": 0.0} if choice == "noisy_batch" else {}
    here = network(choice, **quiet).double()
    there = copy.deepcopy(here).cuda().to(memory_format=torch.channels_last)
    x = images().double()
    for training in (True, True, False):
        expected, found = here.train(training)(x), there.train(training)(x.cuda())
        torch.testing.assert_close(found.cpu(), expected, **near(choice))
    expected.square().sum().backward()
    found.square().sum().backward()
    for one, other in zip(there.parameters(), here.parameters(), strict=True):
        torch.testing.assert_close(one.grad.cpu(), other.grad, **near(choice))
    for one, other in zip(there.buffers(), here.buffers(), strict=True):
        torch.testing.assert_close(one.cpu(), other, **near(choice))


@EVERY
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_a_captured_training_step_gives_the_numbers_of_the_step_itself(choice, precision):
    cumulative = {"momentum": None} if (CONFIGS / f"{choice}.yaml").read_text().count("null averages") else {}
    quiet = {"max_shift": 0.0, "max_scale": 1.0, "jitter": 0.0} if choice == "noisy_batch" else {}
    captured = network(choice, **cumulative, **quiet).cuda().to(memory_format=torch.channels_last)
    x = images().cuda().to(memory_format=torch.channels_last)

    def step(model, x):
        with torch.autocast("cuda", precision, enabled=precision is not torch.float32, cache_enabled=False):
            loss = model(x).float().square().mean()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p.sub_(p.grad, alpha=0.01)
                p.grad.zero_()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step(captured, x)
        step(captured, x)
    torch.cuda.current_stream().wait_stream(stream)
    plain = copy.deepcopy(captured)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(captured, x)
    for seed in range(3):
        x.copy_(images(seed=seed))
        graph.replay()
        step(plain, x)
    tolerance = 1e-5 if precision is torch.float32 else 1e-2
    for name, value in captured.state_dict().items():
        assert value.isfinite().all(), name
        torch.testing.assert_close(value, plain.state_dict()[name], rtol=tolerance, atol=tolerance)
    if cumulative:
        counts = [b.item() for name, b in captured.named_buffers() if name.endswith("num_batches_tracked")]
        assert counts == [10 if choice == "ghost_batch" else 5] * 2


def test_noise_in_a_captured_step_is_new_in_each_replay_and_comes_from_its_generator():
    model = network("noisy_batch").cuda()
    generator = torch.Generator("cuda").manual_seed(5)
    for module in model.modules():
        if hasattr(module, "generator"):
            module.generator = generator
    x = images().cuda()
    with torch.no_grad():
        model(x)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            y = model(x)
        seen = []
        for _ in range(2):
            graph.replay()
            seen.append(y.clone())
    assert not torch.allclose(*seen)


@EVERY
def test_statistics_can_be_exchanged_on_the_device(choice):
    here = network(choice).double()
    there = copy.deepcopy(here).cuda()
    x = images().double()
    population_statistics_(here, x.split(16))
    population_statistics_(there, x.cuda().split(16))
    torch.testing.assert_close(there.eval()(x.cuda()).cpu(), here.eval()(x), **near(choice))
    with batch_statistics(here), batch_statistics(there):
        torch.testing.assert_close(there(x.cuda()).cpu(), here(x), **near(choice))
