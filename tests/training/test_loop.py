"""The loop: it learns, and records what plain PyTorch and plain arithmetic compute."""

import itertools

import pytest
import torch
from tests.training.small_run import ROWS, Listener, linear, make, recorded
from torch import nn
from torch.nn import functional as F

from bnexp.nn.losses import mse
from bnexp.optim import schedules
from bnexp.training.record import read_rows


def test_a_separable_problem_is_learned(tmp_path):
    outcome = make(tmp_path, epochs=10).run({})
    assert outcome["status"] == "done"
    assert outcome["metrics"]["test/accuracy"] == 1.0
    assert outcome["metrics"]["test/loss"] < 0.2 < outcome["metrics"]["initial/loss"]


def test_a_model_handed_over_in_evaluation_mode_trains_in_training_mode(tmp_path):
    training = make(tmp_path, epochs=1)
    training.parts.model.eval()
    training.run({})
    counts = [value for name, value in training.parts.model.named_buffers() if name.endswith("num_batches_tracked")]
    assert counts == [6, 6]


def test_full_batch_training_computes_what_gradient_descent_written_out_computes(tmp_path):
    x, y = ROWS.train.inputs.double(), ROWS.train.labels
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
        logits = {name: linear()(getattr(ROWS, name).inputs) for name in ("train", "val")}
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
        train, val = (-torch.log_softmax(linear()(part.inputs), 1) for part in (ROWS.train, ROWS.val))
    targets = 0.7 * F.one_hot(ROWS.train.labels, 2) + 0.3 / 2
    assert row["train/loss"] == pytest.approx((targets * train).sum(1).mean().item(), rel=1e-5)
    assert row["val/loss"] == pytest.approx(val[range(20), ROWS.val.labels].mean().item(), rel=1e-5)


def test_another_loss_is_trained_with_and_cross_entropy_is_evaluated(tmp_path):
    still = {"schedule": lambda step, num_steps: 0.0}
    training = make(tmp_path, model=linear(), dataset=ROWS, batch_size="full", epochs=1, loss=mse, **still)
    metrics = training.run({})["metrics"]
    (row,) = read_rows(training.folder.metrics)
    with torch.no_grad():
        train, val = (linear()(part.inputs) for part in (ROWS.train, ROWS.val))
    assert row["train/loss"] == pytest.approx(F.mse_loss(train, F.one_hot(ROWS.train.labels, 2).float()).item())
    assert row["val/loss"] == metrics["val/loss"] == pytest.approx(F.cross_entropy(val, ROWS.val.labels).item())


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
    update = training.step.update
    training.step.update = lambda: (used.append(training.parts.optimizer.param_groups[0]["lr"]), update())
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
