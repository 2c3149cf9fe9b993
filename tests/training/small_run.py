"""A run that takes a moment: small images or rows that can be told apart, small networks, and what it recorded."""

import torch
from torch import nn

from bnexp.data.augment import crop_flip, none
from bnexp.data.dataset import Dataset, Examples
from bnexp.nn import norms
from bnexp.nn.activation import marked
from bnexp.nn.losses import cross_entropy
from bnexp.nn.noise import GaussianNoise, draw_noise_from_
from bnexp.optim import optimizers, schedules
from bnexp.seeding import generator
from bnexp.training.lockstep import train_in_lockstep
from bnexp.training.loop import Training
from bnexp.training.record import RunFolder, read_rows
from bnexp.training.settings import Evaluation, Settings, Signals
from bnexp.training.state import Parts
from bnexp.training.stretch import take_step_by_step
from bnexp.training.timeout import TimeLimit

CPU = torch.device("cpu")
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)
DECAY = {"weight_decay": 1e-3, "decay_all": False}
OPTIMIZERS = {
    "sgd": {"lr": 0.05, **DECAY},
    "momentum": {"lr": 0.02, "momentum": 0.9, **DECAY},
    "nesterov": {"lr": 0.02, "momentum": 0.9, **DECAY},
    "rmsprop": {"lr": 0.003, "alpha": 0.9, "eps": 1e-8, "momentum": 0.5, **DECAY},
    "adam": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, **DECAY},
    "adamw": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, **DECAY},
}
NO_NOISE = {"input": 0.0, "weight": 0.0, "activation": 0.0, "gradient": 0.0}
SETTINGS = {
    "epochs": 4,
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


def halves(num_examples, seed):
    """Images (N, 1, 6, 6) bright in the upper half (class 0) or the lower (class 1)."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_examples) % 2
    images = torch.randint(100, (num_examples, 1, 6, 6), generator=draws)
    images[labels == 0, :, :3] += 50
    images[labels == 1, :, 3:] += 50
    return Examples(images.byte(), labels)


IMAGES = Dataset(
    halves(52, 0), halves(20, 1), halves(30, 2), ("up", "down"), torch.tensor([75.0]), torch.tensor([40.0])
)


def as_rows(examples):
    """Rows come scaled."""
    return Examples((examples.inputs.flatten(1).double() - 75.0).div(40.0).float(), examples.labels)


MEAN, STD = torch.full((36,), 75.0).double(), torch.full((36,), 40.0).double()
ROWS = Dataset(*map(as_rows, (IMAGES.train, IMAGES.val, IMAGES.test)), IMAGES.classes, MEAN, STD)


class Listener:
    """A reporter that remembers, and stops the run after so many evaluations or at a step."""

    def __init__(self, stop_row=None, stop_step=None, at_row=lambda row: None):
        self.stop_row, self.stop_step, self.at_row = stop_row, stop_step, at_row
        self.begun, self.steps, self.rows, self.lines = [], [], [], []

    def start(self, step, num_steps, batch_size):
        self.begun.append((step, num_steps, batch_size))

    def step(self, step):
        self.steps.append(step)
        if step == self.stop_step:
            raise KeyboardInterrupt

    def row(self, row):
        self.rows.append(row)
        self.at_row(row)
        if len(self.rows) == self.stop_row:
            raise KeyboardInterrupt

    def say(self, line):
        self.lines.append(line)


def make(
    folder,
    *,
    model=None,
    dataset=IMAGES,
    optimizer="momentum",
    lr=None,
    schedule=lambda step, num_steps: schedules.cosine(step, num_steps, warmup=0.1),
    augmentation=none,
    dropout=0.0,
    norm=BATCH,
    loss=cross_entropy,
    noise=None,
    seed=0,
    init_seed=0,
    fingerprint="0123456789",
    listener=None,
    signals="off",
    **changes,
):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(init_seed)
    if model is None:
        model = convnet(norm, dropout)
    shared = generator(seed, "noise")
    draw_noise_from_(model, shared)
    gaussian = GaussianNoise(model, seed, **NO_NOISE | (noise or {}))
    keywords = OPTIMIZERS[optimizer] | ({} if lr is None else {"lr": lr})
    parts = Parts(
        dataset=dataset,
        model=model,
        optimizer=getattr(optimizers, optimizer)(model, **keywords),
        schedule=schedule,
        loss=loss,
        augmentation=augmentation,
        noise=gaussian,
        generators={"noise": shared, **gaussian.generators},
        evaluation=Evaluation(statistics="running", batch_size=1000),
        signals=Signals(level=signals, probe_size=24, num_batches=3, unit=0),
        device=CPU,
    )
    return Alone(
        parts,
        Settings(**SETTINGS | changes),
        seed=seed,
        fingerprint=fingerprint,
        folder=RunFolder(folder),
        reporter=listener or Listener(),
        limit=TimeLimit(None),
    )


class Alone(Training):
    """A run that has the process to itself."""

    def run(self, hyperparameters):
        return train_in_lockstep([super().run(hyperparameters, {})], take_step_by_step, at_once=1)[0]


def convnet(norm, dropout):
    """Images (N, 1, 6, 6) to 2 logits, with a normalized convolution in ``channels_last``."""
    layers = [norm.weight(nn.Conv2d(1, 6, 3, padding=1)), norm.features(6, True), marked(nn.ReLU)(), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Dropout(dropout), norm.weight(nn.Linear(54, 8)), norm.features(8, False), nn.ReLU()]
    return nn.Sequential(*layers, *head, nn.Linear(8, 2)).to(memory_format=torch.channels_last)


def linear(num_inputs=36):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(num_inputs, 2))


def crop(num_examples, draws):
    return crop_flip(num_examples, draws, padding=1)


def without_seconds(record):
    return {key: value for key, value in record.items() if key != "seconds"}


def recorded(folder):
    return [without_seconds(row) for row in read_rows(RunFolder(folder).metrics)]


def assert_same_state(found, expected):
    """Bit by bit, in nested dicts and lists of tensors."""
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict | list):
        keys = expected if isinstance(expected, dict) else range(len(expected))
        assert len(found) == len(expected)
        for key in keys:
            assert_same_state(found[key], expected[key])
    else:
        assert found == expected


def assert_same_run(one, other):
    """Two finished trainings have the same weights, running averages, optimizer state and rows."""
    assert_same_state(one.parts.model.state_dict(), other.parts.model.state_dict())
    assert_same_state(one.parts.optimizer.state_dict(), other.parts.optimizer.state_dict())
    assert recorded(one.folder.path) == recorded(other.folder.path)
