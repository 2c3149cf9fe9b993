"""Training on a CUDA device: the CPU's numbers, no step that waits for the device, and resuming."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnexp.config.compose import compose_run
from bnexp.data.augment import crop_flip
from bnexp.data.dataset import Dataset, Examples
from bnexp.experiment import prepare
from bnexp.nn import norms
from bnexp.nn.activation import marked
from bnexp.nn.noise import GaussianNoise, draw_noise_from_
from bnexp.optim import optimizers
from bnexp.run import run
from bnexp.training.batches import Scale, TrainingBatches
from bnexp.training.checkpoint import load_checkpoint
from bnexp.training.record import RunFolder, read_rows
from bnexp.training.settings import Settings
from bnexp.training.step import Step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

SMALL = ["init=he", "norm=batch", "training.epochs=2", "training.threads=1"]
MLP = ["model=mlp", "model.width=64"]
CONVNET = ["model=convnet", "model.width=8"]


def digits(folder, *overrides, device="cuda"):
    composed = compose_run([*SMALL, *overrides, f"training.device={device}", f"output_dir={folder}"])
    return prepare(*composed)


def train(folder, *overrides, device="cuda"):
    """Train on digits; return the result and the rows."""
    prepared = digits(folder, *overrides, device=device)
    result = run(prepared)
    return result, read_rows(RunFolder(prepared.path).metrics)


@pytest.mark.parametrize(
    ("model", "tolerance"),
    [(MLP, 1e-4), (CONVNET, 1e-4)],
    ids=["mlp", "convnet"],
)
def test_the_first_steps_have_the_losses_of_the_cpu(tmp_path, model, tolerance):
    words = [*model, "optimizer=sgd", "training.eval_every=0.05", "training.epochs=1"]  # a row each step
    (_, here), (_, there) = (train(tmp_path / device, *words, device=device) for device in ("cpu", "cuda"))
    assert len(there) == len(here) >= 20
    for row, expected in zip(there[:5], here[:5], strict=True):
        assert row["train/loss"] == pytest.approx(expected["train/loss"], rel=tolerance)
    for row, expected in zip(there, here, strict=True):
        assert row["train/loss"] == pytest.approx(expected["train/loss"], rel=0.1)
        assert (row["step"], row["epoch"], row["lr"]) == (expected["step"], expected["epoch"], expected["lr"])


def test_a_run_on_the_device_learns_the_digits(tmp_path):
    result, _ = train(tmp_path, *CONVNET, "training.epochs=8")
    assert result["status"] == "done"
    assert result["metrics"]["test/accuracy"] > 0.9
    assert result["environment"]["device"] == "cuda"
    assert result["environment"]["device_name"] == torch.cuda.get_device_name()


def test_bfloat16_learns_as_well_and_is_not_the_same(tmp_path):
    words = [*CONVNET, "training.epochs=8"]
    (full, _), (half, _) = (train(tmp_path, *words, f"training.precision={p}") for p in ("fp32", "bf16"))
    assert half["status"] == "done"
    assert half["metrics"]["test/accuracy"] == pytest.approx(full["metrics"]["test/accuracy"], abs=0.05)
    assert half["metrics"]["test/loss"] != full["metrics"]["test/loss"]


OPTIMIZERS = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "rmsprop": {"alpha": 0.99, "eps": 1e-8, "momentum": 0.9},
    "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
}


def parts(optimizer, gradient_clip, precision):
    """A step, its batches and optimizer, with everything that a run may contain: norm, noise, dropout, augmentation."""
    device = torch.device("cuda")
    torch.manual_seed(0)
    noisy = norms.noisy_batch(
        max_shift=0.5, max_scale=1.25, jitter=0.1, eps=1e-5, momentum=0.1, affine=True, input=False
    )
    layers = [noisy.features(3, True), nn.Conv2d(3, 8, 3), noisy.features(8, True), marked(nn.ReLU)(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(72, 10))
    model = model.to(device, memory_format=torch.channels_last)
    draw_noise_from_(model, torch.Generator(device).manual_seed(0))
    examples = Examples(torch.randint(256, (320, 3, 8, 8)).byte().to(device), torch.arange(320, device=device) % 10)
    dataset = Dataset(examples, examples, examples, ("a",) * 10, torch.full((3,), 127.0), torch.full((3,), 74.0))
    batches = TrainingBatches(
        examples,
        Scale(dataset, device),
        lambda num_examples, draws: crop_flip(num_examples, draws, padding=1),
        num_classes=10,
        label_smoothing=0.1,
        batch_size=32,
        seed=0,
    )
    settings = Settings(
        epochs=1,
        batch_size=32,
        eval_every=1.0,
        device="cuda",
        precision=precision,
        threads=1,
        label_smoothing=0.1,
        gradient_clip=gradient_clip,
        early_stopping=None,
        deterministic=False,
        timeout=None,
        graph="auto",
        compile=False,
        replicas=1,
    )
    made = getattr(optimizers, optimizer)(model, lr=0.01, weight_decay=0.01, decay_all=False, **OPTIMIZERS[optimizer])
    optimizers.put_lr_on_device_(made)
    noise = GaussianNoise(model, 0, input=0.1, weight=0.01, activation=0.1, gradient=0.001)
    return Step(model, made, F.cross_entropy, noise, settings, device, 10), batches, made


@pytest.fixture
def waiting_is_an_error():
    """Turn the refusal of everything that waits for the device on and off."""
    yield torch.cuda.set_sync_debug_mode
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("gradient_clip", "precision"), [(None, "fp32"), (1.0, "fp32"), (1.0, "bf16")])
def test_no_step_and_no_batch_within_an_epoch_waits_for_the_device(
    waiting_is_an_error, optimizer, gradient_clip, precision
):
    step, batches, made = parts(optimizer, gradient_clip, precision)
    for index in range(2):  # enters the epoch and lets libraries choose their kernels
        step(*batches.at(index))
    waiting_is_an_error("error")
    for index in range(2, 10):
        optimizers.set_lr_(made, 0.01 / (index + 1))
        step(*batches.at(index))
    with pytest.raises(RuntimeError, match="synchroniz"):
        step.fetch()  # which has to wait: the guard is on
    waiting_is_an_error("default")
    losses, num_correct = step.fetch()
    assert len(losses) == 10
    assert all(0 < loss < 100 for loss in losses)
    assert 0 <= num_correct <= 320


class Interrupting:
    """A reporter that interrupts the run after its second evaluation."""

    def __init__(self, name):
        self.num_rows = 0

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def start(self, step, num_steps, batch_size):
        pass

    def step(self, step):
        pass

    def row(self, row):
        self.num_rows += 1
        if self.num_rows == 2:
            raise KeyboardInterrupt

    def say(self, line):
        raise AssertionError(line)


def weights(experiment):
    """All of a finished run's parameters and buffers in one vector."""
    model = load_checkpoint(RunFolder(experiment.path).checkpoint)["model"]
    return torch.cat([value.flatten().double() for value in model.values()])


@pytest.mark.parametrize(
    "words",
    [
        [*MLP, "model.dropout=0.3", "optimizer=adam"],
        [*CONVNET, "model.dropout=0.3", "optimizer=momentum", "augment=crop_flip", "augment.padding=1"],
    ],
    ids=["mlp", "convnet"],
)
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path, words):
    words = [*words, "training.epochs=4"]
    whole, again, parts = (digits(tmp_path / name, *words) for name in ("whole", "again", "parts"))
    run(whole)
    run(again)
    with pytest.raises(KeyboardInterrupt):
        run(parts, Interrupting)
    run(digits(tmp_path / "parts", *words))

    states = [load_checkpoint(RunFolder(one.path).checkpoint) for one in (whole, parts)]
    assert torch.equal(states[0]["generators"]["noise"], states[1]["generators"]["noise"])
    assert torch.equal(states[0]["cuda"], states[1]["cuda"])
    rows, expected = (read_rows(RunFolder(one.path).metrics) for one in (parts, whole))
    assert [row["step"] for row in rows] == [row["step"] for row in expected]
    # A pool's gradients are summed in any order on the device, so that two undisturbed ConvNets differ too; the
    # perceptron's numbers are the same bits.
    spread = (weights(again) - weights(whole)).norm()
    assert (weights(parts) - weights(whole)).norm() <= 10 * spread
    assert spread <= 0.1 * weights(whole).norm()


def test_code_that_draws_from_pytorchs_own_generator_goes_on_with_the_same_draws(tmp_path, monkeypatch):
    call = Step.__call__
    monkeypatch.setattr(Step, "__call__", lambda step, x, y: call(step, x + 0.1 * torch.randn_like(x), y))
    words = [*MLP, "training.epochs=4", "training.graph='off'"]
    whole, parts = (digits(tmp_path / name, *words) for name in ("whole", "parts"))
    run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(parts, Interrupting)
    run(digits(tmp_path / "parts", *words))
    assert torch.equal(weights(parts), weights(whole))
