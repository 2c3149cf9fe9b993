"""Every optimizer, loss, noise and augmentation on a CUDA device: no step waits for it, and noise can be captured."""

from functools import partial

import pytest
import torch
from torch import nn

from bnexp.data.augment import crop_flip, cutout, mixup, none
from bnexp.data.dataset import Dataset, Examples
from bnexp.nn import losses
from bnexp.nn.activation import marked
from bnexp.nn.noise import GaussianNoise
from bnexp.optim import adam_variants, optimizers, step_sizes
from bnexp.training.batches import Scale, TrainingBatches
from bnexp.training.settings import Settings
from bnexp.training.step import Step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

DEVICE = torch.device("cuda")
SETTINGS = Settings(
    epochs=1,
    batch_size=32,
    eval_every=1.0,
    device="cuda",
    precision="fp32",
    threads=1,
    label_smoothing=0.0,
    gradient_clip=None,
    early_stopping=None,
    deterministic=False,
    timeout=None,
    graph="auto",
    compile=False,
    replicas=1,
)
DECAY = {"weight_decay": 0.01, "decay_all": False}
ADAM = {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, **DECAY}
OPTIMIZERS = {
    "sgd": partial(optimizers.sgd, lr=0.01, **DECAY),
    "gd": partial(optimizers.gd, lr=0.01, **DECAY),
    "asgd": partial(optimizers.asgd, lr=0.01, lambd=1e-4, alpha=0.75, **DECAY),
    "adam": partial(optimizers.adam, **ADAM),
    "adam_uncorrected": partial(adam_variants.adam_uncorrected, **ADAM),
    "adamax": partial(adam_variants.adamax, **ADAM),
    "nadam": partial(adam_variants.nadam, **ADAM, momentum_decay=0.004),
    "radam": partial(adam_variants.radam, **ADAM),
    "adagrad": partial(step_sizes.adagrad, lr=0.01, eps=1e-10, **DECAY),
    "adadelta": partial(step_sizes.adadelta, lr=1.0, rho=0.9, eps=1e-6, **DECAY),
    "rprop": partial(step_sizes.rprop, lr=0.01, eta_minus=0.5, eta_plus=1.2, min_step=1e-6, max_step=50.0),
}
LOSSES = {
    "cross_entropy": losses.cross_entropy,
    "focal": partial(losses.focal, gamma=2.0),
    "mse": losses.mse,
    "hinge": partial(losses.hinge, margin=1.0),
}
AUGMENTATIONS = {
    "none": none,
    "crop_flip": partial(crop_flip, padding=1),
    "cutout": partial(cutout, padding=1, size=3),
    "mixup": partial(mixup, padding=None, alpha=0.5),
}
NOISE = {"input": 0.1, "weight": 0.01, "activation": 0.1, "gradient": 0.001}


def network(device=DEVICE):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), marked(nn.ReLU)(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)]
    return nn.Sequential(*layers).to(device, memory_format=torch.channels_last)


def batches(augmentation, label_smoothing):
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(256, (320, 3, 8, 8), generator=draws).byte().to(DEVICE)
    examples = Examples(images, torch.arange(320, device=DEVICE) % 10)
    mean, std = torch.full((3,), 127.0), torch.full((3,), 74.0)
    dataset = Dataset(examples, examples, examples, ("a",) * 10, mean, std)
    keys = {"num_classes": 10, "label_smoothing": label_smoothing, "batch_size": 32, "seed": 0}
    return TrainingBatches(examples, Scale(dataset, DEVICE), augmentation, **keys)


@pytest.fixture
def waiting_is_an_error():
    """Turn the refusal of everything that waits for the device on and off."""
    yield torch.cuda.set_sync_debug_mode
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize(
    ("optimizer", "loss", "augmentation", "label_smoothing"),
    [
        *((name, "cross_entropy", "none", 0.0) for name in OPTIMIZERS),
        *(("sgd", name, "mixup", 0.0) for name in LOSSES),
        *(("sgd", name, "none", 0.0) for name in LOSSES),
        *(("sgd", "cross_entropy", name, 0.1) for name in AUGMENTATIONS),
    ],
)
def test_no_step_and_no_batch_within_an_epoch_waits_for_the_device(
    waiting_is_an_error, optimizer, loss, augmentation, label_smoothing
):
    model, source = network(), batches(AUGMENTATIONS[augmentation], label_smoothing)
    noise = GaussianNoise(model, 0, **NOISE)
    made = OPTIMIZERS[optimizer](model)
    assert optimizers.has_fixed_update(made)
    optimizers.put_lr_on_device_(made)
    step = Step(model, made, LOSSES[loss], noise, SETTINGS, DEVICE, 10)
    for index in range(2):  # enters the epoch and lets libraries choose their kernels
        step(*source.at(index))
    waiting_is_an_error("error")
    for index in range(2, 10):
        optimizers.set_lr_(made, 0.01 / (index + 1))
        step(*source.at(index))
    waiting_is_an_error("default")
    found, _ = step.fetch()
    assert len(found) == 10
    assert all(0 < value < 100 for value in found)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_steps_are_those_of_the_cpu(name):
    parameters = {}
    for device in ("cpu", "cuda"):
        model = network(device)
        optimizer = OPTIMIZERS[name](model)
        draws = torch.Generator().manual_seed(0)
        for _ in range(8):
            for parameter in model.parameters():
                parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=draws))
            optimizer.step()
        parameters[device] = torch.cat([parameter.detach().flatten().cpu() for parameter in model.parameters()])
    torch.testing.assert_close(parameters["cuda"], parameters["cpu"], rtol=1e-4, atol=1e-5)


def test_noise_can_be_captured_in_a_graph_and_is_new_in_every_replay():
    model, x = network(), torch.randn(4, 3, 8, 8, device=DEVICE)
    noise = GaussianNoise(model, 0, **NOISE)
    weight = model[0].weight.detach().clone()

    def step():
        with noise.on_weights():
            model(noise.on_input(x)).square().mean().backward()
        noise.on_gradients_()

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):  # gradients and libraries must be there before a capture
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    for generator in noise.generators.values():
        graph.register_generator_state(generator)
    for parameter in model.parameters():
        parameter.grad.zero_()
    with torch.cuda.graph(graph):
        step()
    gradients = []
    for _ in range(2):
        model[0].weight.grad.zero_()
        graph.replay()
        gradients.append(model[0].weight.grad.clone())
    assert not torch.equal(*gradients)
    assert torch.equal(model[0].weight, weight)
