"""One training step: what plain PyTorch computes, without ever waiting for the device."""

import copy
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from bnexp.nn import losses, norms
from bnexp.nn.activation import marked
from bnexp.nn.noise import GaussianNoise, draw_noise_from_
from bnexp.optim import optimizers
from bnexp.seeding import generator
from bnexp.training.settings import Settings
from bnexp.training.step import Step

CPU = torch.device("cpu")


def settings(**changes):
    values = {
        "epochs": 1,
        "batch_size": 8,
        "eval_every": 1.0,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "label_smoothing": 0.0,
        "gradient_clip": None,
        "early_stopping": None,
        "deterministic": False,
        "timeout": None,
        "graph": "auto",
        "compile": False,
        "replicas": 1,
    }
    return Settings(**values | changes)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4))


def batches(num_batches, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return [
        (scale * torch.randn(8, 6, generator=generator), torch.randint(4, (8,), generator=generator))
        for _ in range(num_batches)
    ]


def without_noise(model):
    return GaussianNoise(model, 0, input=0.0, weight=0.0, activation=0.0, gradient=0.0)


def make(model, lr=0.1, max_steps=10, **changes):
    optimizer = optimizers.sgd(model, lr=lr, weight_decay=0.0, decay_all=False)
    return Step(model, optimizer, F.cross_entropy, without_noise(model), settings(**changes), CPU, max_steps)


def parameters(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_steps_do_what_autograd_and_the_update_rule_do():
    model = network()
    twin = copy.deepcopy(model)
    step = make(model)
    losses, num_correct = [], 0
    for inputs, labels in batches(3):
        step(inputs, labels)
        logits = twin(inputs)
        loss = F.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        losses.append(loss.item())
        num_correct += sum(row.index(max(row)) == label for row, label in zip(logits.tolist(), labels, strict=True))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    torch.testing.assert_close(parameters(model), parameters(twin))
    found_losses, found_correct = step.fetch()
    assert found_losses == pytest.approx(losses, rel=1e-6)
    assert found_correct == num_correct


def test_fetching_starts_the_counts_anew():
    step = make(network(), max_steps=2)
    first, second, third = batches(3)
    step(*first)
    step(*second)
    assert len(step.fetch()[0]) == 2
    assert step.fetch() == ([], 0)
    step(*third)
    losses, num_correct = step.fetch()
    assert len(losses) == 1
    assert 0 <= num_correct <= 8


@pytest.mark.parametrize("clip", [0.01, 0.5])
def test_clipping_bounds_the_norm_of_the_whole_gradient_and_keeps_its_direction(clip):
    ((inputs, labels),) = batches(1, scale=100.0)
    moves = {}
    for limit in (None, clip):
        model = network()
        start = parameters(model)
        make(model, lr=1.0, gradient_clip=limit)(inputs, labels)
        moves[limit] = parameters(model) - start  # with lr 1, the gradient
    assert moves[None].norm() > clip
    assert moves[clip].norm().item() == pytest.approx(clip, rel=1e-4)
    assert F.cosine_similarity(moves[clip], moves[None], dim=0).item() == pytest.approx(1, abs=1e-5)


def test_a_limit_that_is_not_reached_changes_no_bit():
    models = [network(), network()]
    for model, limit in zip(models, (None, 1e6), strict=True):
        step = make(model, gradient_clip=limit)
        for batch in batches(3):
            step(*batch)
    assert torch.equal(*map(parameters, models))


def test_in_bfloat16_the_network_is_and_parameters_and_loss_are_not():
    model, dtypes = network(), []
    model.register_forward_hook(lambda _module, _inputs, output: dtypes.append(output.dtype))
    full, half = make(network()), make(model, precision="bf16")
    for batch in batches(5):
        full(*batch)
        half(*batch)
    assert set(dtypes) == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert half.losses.dtype == torch.float32
    losses, expected = half.fetch()[0], full.fetch()[0]
    assert losses == pytest.approx(expected, rel=0.02)
    assert losses != expected


class NoWaiting(TorchDispatchMode):
    """Refuse every operation whose result the host has to wait for."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = args[1] if name.startswith("index") and isinstance(args[1], list | tuple) else ()
        is_mask = any(isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in indices)
        assert name not in self.WAITING, f"{name} waits for the device"
        assert not is_mask, "indexing with a mask waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.fixture
def no_waiting(monkeypatch):
    """A context in which whatever waits for the device fails, on the CPU too."""

    def refuse(*_arguments):
        raise AssertionError("reading a tensor waits for the device")

    @contextmanager
    def guard():
        with monkeypatch.context() as patch, NoWaiting():
            for name in ("tolist", "cpu", "numpy"):
                patch.setattr(torch.Tensor, name, refuse)
            yield

    return guard


@pytest.mark.parametrize(
    "wait",
    [
        torch.Tensor.item,
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.numpy(),
        bool,
        float,
        torch.nonzero,
        lambda x: x[x > 0],
    ],
)
def test_the_guard_refuses_what_waits_for_the_device(no_waiting, wait):
    x = torch.ones(1)
    with no_waiting(), pytest.raises(AssertionError, match="waits for the device"):
        wait(x)


BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)
OPTIMIZERS = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "rmsprop": {"alpha": 0.99, "eps": 1e-8, "momentum": 0.9},
    "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("changes", [{}, {"gradient_clip": 0.1}, {"precision": "bf16"}])
def test_no_step_waits_for_the_device(no_waiting, name, changes):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), BATCH.features(4, True), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 4))
    draw_noise_from_(model, torch.Generator())
    optimizer = getattr(optimizers, name)(model, lr=0.01, weight_decay=0.1, decay_all=False, **OPTIMIZERS[name])
    step = Step(model, optimizer, F.cross_entropy, without_noise(model), settings(**changes), CPU, 3)
    for _ in range(3):
        inputs, labels = torch.randn(8, 1, 8, 8), torch.randint(4, (8,))
        with no_waiting():
            step(inputs, labels)
    assert len(step.fetch()[0]) == 3


LOSSES = {
    "cross_entropy": losses.cross_entropy,
    "focal": partial(losses.focal, gamma=2.0),
    "mse": losses.mse,
    "hinge": partial(losses.hinge, margin=1.0),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("are_probabilities", [False, True])
def test_no_loss_and_no_noise_waits_for_the_device(no_waiting, loss, are_probabilities):
    model = nn.Sequential(nn.Linear(6, 16), marked(nn.Tanh)(), nn.Linear(16, 4))
    optimizer = optimizers.sgd(model, lr=0.1, weight_decay=0.0, decay_all=False)
    noise = GaussianNoise(model, 0, input=0.1, weight=0.1, activation=0.1, gradient=0.1)
    step = Step(model, optimizer, loss, noise, settings(), CPU, 3)
    for inputs, labels in batches(3):
        with no_waiting():
            step(inputs, losses.smoothed(labels, 4, 0.1) if are_probabilities else labels)
    assert len(step.fetch()[0]) == 3


@pytest.mark.parametrize("places", [["input"], ["weight"], ["gradient"], ["input", "weight", "gradient"]])
def test_a_noisy_step_moves_the_clean_weights_by_the_noisy_gradient(places):
    std = dict.fromkeys(("input", "weight", "activation", "gradient"), 0.0) | dict.fromkeys(places, 0.25)
    model = nn.Linear(6, 4, bias=False).double()
    start = model.weight.detach().clone()
    optimizer = optimizers.sgd(model, lr=0.1, weight_decay=0.0, decay_all=False)
    step = Step(model, optimizer, F.cross_entropy, GaussianNoise(model, 7, **std), settings(gradient_clip=0.5), CPU, 1)
    ((inputs, labels),) = batches(1, scale=10.0)
    inputs = inputs.double()
    step(inputs, labels)

    def drawn(place, like):
        draws = generator(7, f"noise/{place}")
        return torch.empty_like(like).normal_(0, 0.25, generator=draws) if place in places else torch.zeros_like(like)

    inputs = inputs + drawn("input", inputs)
    noisy = start + drawn("weight", start)
    error = torch.softmax(inputs @ noisy.T, 1) - F.one_hot(labels, 4)
    gradient = error.T @ inputs / 8
    gradient *= 0.5 / gradient.norm()  # clipped before the noise, which keeps its strength
    torch.testing.assert_close(model.weight, start - 0.1 * (gradient + drawn("gradient", gradient)), rtol=1e-5, atol=0)


def test_the_largest_probability_is_the_label_that_counts_as_correct():
    model = nn.Linear(6, 4)
    step = make(model)
    ((inputs, labels),) = batches(1)
    num_correct = (model(inputs).argmax(1) == labels).sum().item()
    step(inputs, losses.smoothed(labels, 4, 0.5))
    assert step.fetch()[1] == num_correct
