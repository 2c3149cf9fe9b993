"""The loop: it learns, records what plain PyTorch computes, and goes on after a stop as if there had been none."""

import copy
import itertools
import math
import threading

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional as F

from bnexp.data.augment import crop_flip, none
from bnexp.data.dataset import Dataset, Examples
from bnexp.models.convnet import ConvNet
from bnexp.models.mlp import MLP
from bnexp.nn import norms
from bnexp.nn.noise import draw_noise_from_
from bnexp.optim import optimizers, schedules
from bnexp.seeding import generator
from bnexp.training.loop import Training
from bnexp.training.record import RunFolder, read_rows
from bnexp.training.settings import Settings
from bnexp.training.state import Parts

CPU = torch.device("cpu")
BATCH = norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False)
NOISY = norms.noisy_batch(max_shift=0.5, max_scale=1.25, jitter=0.1, eps=1e-5, momentum=0.1, affine=True, input=False)
DECAY = {"weight_decay": 1e-3, "decay_all": False}
OPTIMIZERS = {
    "sgd": {"lr": 0.05, **DECAY},
    "momentum": {"lr": 0.02, "momentum": 0.9, **DECAY},
    "nesterov": {"lr": 0.02, "momentum": 0.9, **DECAY},
    "rmsprop": {"lr": 0.003, "alpha": 0.9, "eps": 1e-8, "momentum": 0.5, **DECAY},
    "adam": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, **DECAY},
    "adamw": {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, **DECAY},
}
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
    return Examples(examples.inputs.flatten(1).float(), examples.labels)


MEAN, STD = torch.full((36,), 75.0), torch.full((36,), 40.0)
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
    seed=0,
    init_seed=0,
    fingerprint="0123456789-s0",
    listener=None,
    **changes,
):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(init_seed)
    if model is None:
        model = ConvNet(
            (1, 6, 6), 2, nn.ReLU, norm, depth=2, width=4, num_stages=2, dropout=dropout, norm_position="before"
        ).to(memory_format=torch.channels_last)
    noise = generator(seed, "noise")
    draw_noise_from_(model, noise)
    keywords = OPTIMIZERS[optimizer] | ({} if lr is None else {"lr": lr})
    parts = Parts(
        dataset=dataset,
        model=model,
        optimizer=getattr(optimizers, optimizer)(model, **keywords),
        schedule=schedule,
        augmentation=augmentation,
        noise=noise,
        device=CPU,
    )
    return Training(
        parts,
        Settings(**SETTINGS | changes),
        seed=seed,
        fingerprint=fingerprint,
        folder=RunFolder(folder),
        reporter=listener or Listener(),
    )


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


def test_a_separable_problem_is_learned(tmp_path):
    outcome = make(tmp_path, epochs=10).run({})
    assert outcome["status"] == "done"
    assert outcome["metrics"]["test/accuracy"] == 1.0
    assert outcome["metrics"]["test/loss"] < 0.2 < outcome["metrics"]["initial/loss"]


def test_full_batch_training_computes_what_gradient_descent_written_out_computes(tmp_path):
    x, y = (ROWS.train.inputs.double() - 75) / 40, ROWS.train.labels
    layer = linear()[0]
    weight, bias = layer.weight.detach().double(), layer.bias.detach().double()
    expected = []
    for _ in range(5):
        logits = x @ weight.T + bias
        error = torch.softmax(logits, 1) - F.one_hot(y, 2)
        loss = (logits.exp().sum(1).log() - logits[range(52), y]).mean().item()
        expected.append((loss, (logits.argmax(1) == y).double().mean().item()))
        weight, bias = weight - 0.1 * error.T @ x / 52, bias - 0.1 * error.mean(0)

    settings = {"dataset": ROWS, "optimizer": "sgd", "lr": 0.1, "schedule": lambda step, num_steps: 1.0}
    training = make(tmp_path, model=linear(), batch_size="full", epochs=5, **settings)
    training.parts.optimizer.param_groups[0]["weight_decay"] = 0.0
    training.run({})
    rows = read_rows(training.folder.metrics)
    assert [(row["train/loss"], row["train/accuracy"]) for row in rows] == [pytest.approx(pair) for pair in expected]
    torch.testing.assert_close(training.parts.model[0].weight.double(), weight, rtol=1e-5, atol=1e-6)


def test_a_row_has_means_over_the_steps_since_the_last_and_scores_of_the_validation_split(tmp_path):
    still = {"schedule": lambda step, num_steps: 0.0}  # learning rate 0: every step sees the same network
    training = make(tmp_path, model=linear(), dataset=ROWS, batch_size=26, epochs=2, **still)
    training.run({})
    first, second = read_rows(training.folder.metrics)
    with torch.no_grad():
        logits = {name: linear()((getattr(ROWS, name).inputs - 75) / 40) for name in ("train", "val")}
    for row in (first, second):
        for name, found in logits.items():
            labels = getattr(ROWS, name).labels
            assert row[f"{name}/loss"] == pytest.approx(F.cross_entropy(found, labels).item(), rel=1e-5)
            assert row[f"{name}/accuracy"] == (found.argmax(1) == labels).double().mean().item()
    assert [row["step"] for row in (first, second)] == [2, 4]
    assert [row["epoch"] for row in (first, second)] == [1, 2]
    assert 0 < first["seconds"] < second["seconds"]


def test_label_smoothing_mixes_the_labels_with_all_classes_in_training_only(tmp_path):
    still = {"schedule": lambda step, num_steps: 0.0}
    training = make(tmp_path, model=linear(), dataset=ROWS, batch_size="full", epochs=1, label_smoothing=0.3, **still)
    training.run({})
    (row,) = read_rows(training.folder.metrics)
    with torch.no_grad():
        train, val = (-torch.log_softmax(linear()((part.inputs - 75) / 40), 1) for part in (ROWS.train, ROWS.val))
    targets = 0.7 * F.one_hot(ROWS.train.labels, 2) + 0.3 / 2
    assert row["train/loss"] == pytest.approx((targets * train).sum(1).mean().item(), rel=1e-5)
    assert row["val/loss"] == pytest.approx(val[range(20), ROWS.val.labels].mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("eval_every", "steps"),
    [(1.0, [6, 12, 18, 24]), (0.5, [3, 6, 9, 12, 15, 18, 21, 24]), (1.5, [9, 18, 24]), (10.0, [24])],
)
def test_evaluations_come_on_their_grid_and_after_the_last_step(tmp_path, eval_every, steps):
    listener = Listener()
    training = make(tmp_path, eval_every=eval_every, listener=listener)
    training.run({})
    assert [row["step"] for row in listener.rows] == steps
    assert [row["epoch"] for row in listener.rows] == [step / 6 for step in steps]  # 6 batches of 8 among 52
    assert listener.steps == list(range(1, 25))
    assert (training.counts()["steps"], training.counts()["epochs"]) == (24, 4.0)


def test_however_rare_the_evaluations_there_is_one_a_step_at_most(tmp_path):
    listener = Listener()
    make(tmp_path, eval_every=1e-9, epochs=1, listener=listener).run({})
    assert [row["step"] for row in listener.rows] == [1, 2, 3, 4, 5, 6]


def test_every_step_has_the_learning_rate_of_the_schedule(tmp_path):
    used = []
    training = make(tmp_path, lr=0.02, eval_every=0.5)
    step = training.step.optimizer.step
    training.step.optimizer.step = lambda: (used.append(training.parts.optimizer.param_groups[0]["lr"]), step())
    training.run({})
    expected = [0.02 * schedules.cosine(index, 24, warmup=0.1) for index in range(24)]
    assert used == pytest.approx(expected, rel=1e-12)
    assert [row["lr"] for row in recorded(tmp_path)] == pytest.approx(expected[2::3], rel=1e-12)


def test_clipping_bounds_every_update(tmp_path):
    weights = []
    model = linear()
    listener = Listener(at_row=lambda row: weights.append(nn.utils.parameters_to_vector(model.parameters()).detach()))
    weights.append(nn.utils.parameters_to_vector(model.parameters()).detach())
    constant = {"optimizer": "sgd", "lr": 1.0, "schedule": lambda step, num_steps: 1.0, "eval_every": 1e-9}
    training = make(tmp_path, model=model, dataset=ROWS, gradient_clip=0.125, listener=listener, **constant)
    for group in training.parts.optimizer.param_groups:
        group["weight_decay"] = 0.0
    training.run({})
    moves = [(after - before).norm().item() for before, after in itertools.pairwise(weights)]
    assert len(moves) == 24
    assert max(moves) == pytest.approx(0.125, rel=1e-3)


@pytest.mark.parametrize(
    ("noise", "stop_row"), [({}, 2), ({"dropout": 0.3, "augmentation": crop}, 3)], ids=["plain", "dropout-crop"]
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stopped_run_goes_on_bit_by_bit_as_if_it_had_not_stopped(tmp_path, optimizer, noise, stop_row):
    whole = make(tmp_path / "whole", optimizer=optimizer, **noise)
    expected = whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", optimizer=optimizer, listener=Listener(stop_row=stop_row), **noise).run({})
    listener = Listener()
    resumed = make(tmp_path / "parts", optimizer=optimizer, init_seed=1, listener=listener, **noise)
    outcome = resumed.run({})
    assert_same_run(resumed, whole)
    # The row was written and the checkpoint was not yet: the run goes on from the one before.
    assert listener.begun == [(6 * (stop_row - 1), 24, 8)]
    assert outcome == expected


@pytest.mark.parametrize("norm", [norms.none(), NOISY, norms.weight(), norms.spectral(n_power_iterations=1, eps=1e-12)])
def test_noise_buffers_and_reparametrized_weights_go_on_too(tmp_path, norm):
    whole = make(tmp_path / "whole", norm=norm)
    whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", norm=norm, listener=Listener(stop_row=3)).run({})
    resumed = make(tmp_path / "parts", norm=norm, init_seed=1)
    resumed.run({})
    assert_same_run(resumed, whole)


class DrawsFromPyTorch(nn.Module):
    """Noise that knows of no generator, as in somebody else's plugin."""

    def forward(self, x):
        return x + 0.1 * torch.randn_like(x) if self.training else x


def test_a_model_that_draws_from_pytorchs_own_generator_goes_on_too(tmp_path):
    def model():
        return nn.Sequential(DrawsFromPyTorch(), *linear())

    whole = make(tmp_path / "whole", model=model(), dataset=ROWS)
    whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", model=model(), dataset=ROWS, listener=Listener(stop_row=2)).run({})
    resumed = make(tmp_path / "parts", model=model(), dataset=ROWS, init_seed=1)
    resumed.run({})
    assert_same_run(resumed, whole)


def test_a_run_that_is_stopped_again_and_again_between_evaluations_comes_to_the_same_end(tmp_path):
    noise = {"dropout": 0.3, "augmentation": crop, "eval_every": 0.5}
    whole = make(tmp_path / "whole", **noise)
    whole.run({})
    for stop_step in (2, 5, 8, 16, 24):
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "parts", listener=Listener(stop_step=stop_step), **noise).run({})
    resumed = make(tmp_path / "parts", **noise)
    resumed.run({})
    assert_same_run(resumed, whole)


def test_a_finished_run_is_not_trained_again_and_has_the_same_outcome(tmp_path):
    expected = make(tmp_path).run({})
    listener = Listener()
    outcome = make(tmp_path, init_seed=1, listener=listener).run({})
    assert listener.steps == []
    assert outcome == expected


def test_a_damaged_checkpoint_is_told_of_and_the_run_starts_anew(tmp_path):
    whole = make(tmp_path / "whole")
    whole.run({})
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", listener=Listener(stop_row=3)).run({})
    checkpoint = tmp_path / "parts" / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    listener = Listener()
    anew = make(tmp_path / "parts", listener=listener)
    anew.run({})
    assert listener.begun == [(0, 24, 8)]
    (line,) = listener.lines
    assert line.endswith("training starts anew")
    assert_same_run(anew, whole)


def test_a_checkpoint_of_another_run_is_not_taken(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, listener=Listener(stop_row=3)).run({})
    listener = Listener()
    make(tmp_path, fingerprint="9876543210-s0", listener=listener).run({})
    assert listener.begun == [(0, 24, 8)]
    assert "belongs to another run" in listener.lines[0]


def test_the_same_seed_gives_the_same_bits_and_another_one_others(tmp_path):
    runs = {}
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        runs[name] = make(tmp_path / name, seed=seed, dropout=0.3, augmentation=crop)
        runs[name].run({})
    assert_same_run(runs["first"], runs["again"])
    assert recorded(tmp_path / "first") != recorded(tmp_path / "other")


def first_diverging_step(model, lr, num_steps):
    """Count the steps of plain gradient descent until the loss is not finite or 1,000 times the first."""
    inputs, labels = (ROWS.train.inputs - 75) / 40, ROWS.train.labels
    first = None
    for step in range(1, num_steps + 1):
        loss = F.cross_entropy(model(inputs), labels)
        first = loss.item() if first is None else first
        if not math.isfinite(loss.item()) or loss.item() > 1000 * first:
            return step
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= lr * gradient
    return None


@pytest.mark.parametrize(("lr", "eval_every"), [(1e6, 1.0), (1e6, 5.0), (100.0, 10.0)])
def test_a_run_that_diverges_ends_with_the_step_at_which_it_did(tmp_path, lr, eval_every):
    torch.manual_seed(0)
    model = MLP((36,), 2, nn.ReLU, norms.none(), depth=3, width=8, dropout=0.0, norm_position="before")
    expected = first_diverging_step(copy.deepcopy(model), lr, 20)
    assert expected is not None
    settings = {"optimizer": "sgd", "lr": lr, "schedule": lambda step, num_steps: 1.0, "batch_size": "full"}
    training = make(tmp_path, model=model, dataset=ROWS, epochs=20, eval_every=eval_every, **settings)
    training.parts.optimizer.param_groups[0]["weight_decay"] = 0.0
    outcome = training.run({})
    assert outcome["status"] == "diverged"
    assert outcome["diverged_step"] == expected
    seen = math.ceil(expected / eval_every) * eval_every  # the evaluation at which it was noticed
    assert training.counts()["steps"] == seen
    again = make(tmp_path, model=model, dataset=ROWS, epochs=20, eval_every=eval_every, **settings).run({})
    assert (again["status"], again["diverged_step"]) == ("diverged", expected)


@pytest.mark.parametrize("value", [math.nan, 3e38])
def test_a_run_whose_first_loss_is_not_finite_has_diverged_at_its_first_step(tmp_path, value):
    model = linear()
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([value, -value]))  # 3e38 less −3e38 is infinite in float32
    outcome = make(tmp_path, model=model, dataset=ROWS, epochs=2).run({})
    assert outcome["status"] == "diverged"
    assert outcome["diverged_step"] == 1


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_waits_for_so_many_evaluations_without_a_better_one(tmp_path, patience):
    still = {"schedule": lambda step, num_steps: 0.0}
    training = make(tmp_path, model=linear(), dataset=ROWS, epochs=10, early_stopping=patience, **still)
    outcome = training.run({})
    assert outcome["status"] == "done"
    assert training.counts()["epochs"] == 1 + patience  # the first evaluation is better than none
    assert outcome["metrics"]["best/epoch"] == 1


def test_a_run_that_stopped_early_and_goes_on_stops_where_it_would_have(tmp_path):
    still = {"schedule": lambda step, num_steps: 0.0, "early_stopping": 3, "epochs": 10, "dataset": ROWS}
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, model=linear(), listener=Listener(stop_row=3), **still).run({})
    resumed = make(tmp_path, model=linear(), **still)
    resumed.run({})
    assert resumed.counts()["epochs"] == 4


def test_best_is_the_first_evaluation_with_the_highest_validation_accuracy(tmp_path):
    training = make(tmp_path, epochs=6)
    test_accuracies = []

    @torch.no_grad()
    def score_test(row):
        model = copy.deepcopy(training.parts.model).eval()
        found = model(training.scale(IMAGES.test.inputs)).argmax(1)
        test_accuracies.append((found == IMAGES.test.labels).double().mean().item())

    training.reporter.at_row = score_test
    metrics = training.run({})["metrics"]
    accuracies = [row["val/accuracy"] for row in recorded(tmp_path)]
    best = accuracies.index(max(accuracies))
    assert best > 0  # or this test would show little
    assert metrics["best/epoch"] == best + 1
    assert metrics["best/val/accuracy"] == accuracies[best]
    assert metrics["best/test/accuracy"] == pytest.approx(test_accuracies[best])
    assert metrics["test/accuracy"] == pytest.approx(test_accuracies[-1])
    assert metrics["val/accuracy"] == accuracies[-1]


def test_seconds_go_on_after_a_stop(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, listener=Listener(stop_row=3)).run({})
    before = read_rows(RunFolder(tmp_path).metrics)
    resumed = make(tmp_path)
    resumed.run({})
    seconds = resumed.counts()["seconds"]
    rows = read_rows(RunFolder(tmp_path).metrics)
    assert [row["seconds"] for row in rows[:2]] == [row["seconds"] for row in before[:2]]
    assert all(one["seconds"] < other["seconds"] for one, other in itertools.pairwise(rows))
    assert seconds["total"] >= seconds["train"] == rows[-1]["seconds"]


def test_a_stopped_run_leaves_its_event_file_whole_and_no_thread(tmp_path):
    num_threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, listener=Listener(stop_row=3)).run({})
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("val/loss")
    assert [event.step for event in events] == [6, 12, 18]
    assert threading.active_count() == num_threads


def test_one_event_file_is_left_of_a_run_however_often_it_stopped(tmp_path):
    for stop_row in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, listener=Listener(stop_row=stop_row)).run({})
    make(tmp_path).run({"norm": "batch"})
    files = sorted(path.name for path in tmp_path.iterdir())
    events = [name for name in files if name.startswith("events.out.tfevents.")]
    assert len(events) == 1
    assert files == sorted(["checkpoint.pt", "metrics.jsonl", *events])
