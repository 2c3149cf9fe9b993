"""How a run ends: at its last step, early, or by diverging; and which of its evaluations was the best."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from tests.training.small_run import IMAGES, ROWS, Listener, linear, make, recorded
from torch import nn
from torch.nn import functional as F

from bnexp.data.dataset import Examples


def first_diverging_step(model, lr, num_steps):
    """Count the steps of plain gradient descent until the loss is not finite or 1,000 times the first (at least 1)."""
    inputs, labels = (ROWS.train.inputs - 75) / 40, ROWS.train.labels
    first = None
    for step in range(1, num_steps + 1):
        loss = F.cross_entropy(model(inputs), labels)
        first = loss.item() if first is None else first
        if not math.isfinite(loss.item()) or loss.item() > 1000 * max(first, 1.0):
            return step
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= lr * gradient
    return None


@pytest.mark.parametrize(("lr", "eval_every"), [(1e6, 1.0), (1e6, 5.0), (100.0, 10.0)])
def test_a_run_that_diverges_ends_with_the_step_at_which_it_did(tmp_path, lr, eval_every):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
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


def test_a_first_loss_of_zero_is_no_scale_to_diverge_from(tmp_path):
    losses = iter([0.0, 2.0, 999.0, 1001.0])

    def scripted(logits, targets):
        return logits.sum() * 0 + next(losses)

    training = make(tmp_path, model=linear(), dataset=ROWS, loss=scripted, batch_size="full", epochs=4, eval_every=4)
    assert training.run({})["diverged_step"] == 4


def test_each_split_is_scored_once_an_evaluation_and_the_test_split_only_at_the_best_and_the_last(tmp_path):
    third_epoch = {"schedule": lambda step, num_steps: float(12 <= step < 18), "epochs": 5}
    seen = []
    model = linear()
    model.register_forward_hook(
        lambda module, inputs, _output: None if module.training else seen.append(len(inputs[0]))
    )
    outcome = make(tmp_path, model=model, dataset=ROWS, **third_epoch).run({})
    assert seen == [20, 30, 20, 20, 30, 20, 20, 30]  # best at epochs 1 and 3; the last is the fifth
    with torch.no_grad():
        logits = model(ROWS.test.inputs)
    assert outcome["metrics"]["test/loss"] == pytest.approx(F.cross_entropy(logits, ROWS.test.labels).item())


def test_a_run_that_stopped_behind_its_last_evaluation_scores_nothing_again(tmp_path):
    make(tmp_path / "whole").run({})
    training = make(tmp_path / "whole", listener=Listener(stop_step=25))
    model, seen = training.parts.model, []
    model.register_forward_hook(lambda *_: seen.append(1))
    outcome = training.run({})
    assert seen == []
    assert outcome == make(tmp_path / "other").run({})


@pytest.mark.parametrize("value", [math.nan, 3e38])
def test_a_run_whose_first_loss_is_not_finite_has_diverged_at_its_first_step(tmp_path, value):
    model = linear()
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([value, -value]))  # 3e38 less −3e38 is infinite in float32
    outcome = make(tmp_path, model=model, dataset=ROWS, epochs=2).run({})
    assert outcome["status"] == "diverged"
    assert outcome["diverged_step"] == 1


def spoil(value):
    """A listener's act that spoils the network once three evaluations are done."""

    def act(training):
        def at_row(_row):
            if len(training.reporter.rows) == 3:
                with torch.no_grad():
                    training.parts.model[0].weight[0, 0] = value

        return at_row

    return act


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_run_that_never_has_a_score_has_no_best_and_no_metrics(tmp_path, value):
    model = linear()
    with torch.no_grad():
        model[0].bias.fill_(value)
    training = make(tmp_path, model=model, dataset=ROWS, epochs=2)
    outcome = training.run({})
    expected = ("val/accuracy", "val/loss", "test/accuracy", "test/loss", "best/epoch")
    assert {outcome["metrics"][name] for name in (*expected, "best/val/accuracy", "best/test/accuracy")} == {None}
    [row] = recorded(tmp_path)
    assert (row["val/accuracy"], row["val/loss"], row["train/accuracy"]) == (None, None, 0.0)
    assert training.reporter.rows[0]["val/accuracy"] is None  # what is shown is what is recorded


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_best_evaluation_is_one_with_a_score(tmp_path, value):
    training = make(tmp_path, model=linear(), dataset=ROWS, epochs=6)
    training.reporter.at_row = spoil(value)(training)
    metrics = training.run({})["metrics"]
    rows = recorded(tmp_path)
    accuracies = [row["val/accuracy"] for row in rows]
    assert len(rows) == 4  # it diverges at once
    assert accuracies[3] is None
    assert metrics["best/val/accuracy"] == max(accuracies[:3])
    assert metrics["best/epoch"] == accuracies.index(max(accuracies[:3])) + 1
    assert (metrics["val/accuracy"], metrics["test/accuracy"], metrics["test/loss"]) == (None, None, None)


class Blind(torch.nn.Module):
    """A network that trains, and whose evaluations from the second on have one output that is no finite number."""

    def __init__(self, value):
        super().__init__()
        self.layer = linear()
        self.value, self.evaluations = value, 0

    def forward(self, inputs):
        logits = self.layer(inputs)
        if not self.training and len(inputs) == len(ROWS.val):
            self.evaluations += 1
        if not self.training and self.evaluations > 1:
            logits = logits.clone()
            logits[0, 0] = self.value
        return logits


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_evaluation_without_a_score_is_no_improvement_to_early_stopping(tmp_path, value):
    training = make(tmp_path, model=Blind(value), dataset=ROWS, epochs=10, early_stopping=2)
    outcome = training.run({})
    assert training.counts()["epochs"] == 3
    assert outcome["status"] == "done"
    assert outcome["metrics"]["best/epoch"] == 1
    assert outcome["metrics"]["val/accuracy"] is None
    assert outcome["metrics"]["best/val/accuracy"] == recorded(tmp_path)[0]["val/accuracy"]


def test_a_run_without_a_score_that_is_resumed_ends_as_it_would_have(tmp_path):
    for name in ("whole", "stopped"):
        listener = Listener(stop_row=2) if name == "stopped" else None
        training = make(tmp_path / name, model=Blind(math.nan), dataset=ROWS, listener=listener)
        if listener is None:
            expected = training.run({})
        else:
            with pytest.raises(KeyboardInterrupt):
                training.run({})
    resumed = make(tmp_path / "stopped", model=Blind(math.nan), dataset=ROWS)
    resumed.parts.model.evaluations = 2
    assert resumed.run({}) == expected
    assert recorded(tmp_path / "stopped") == recorded(tmp_path / "whole")


@pytest.mark.parametrize("patience", [1, 3])
def test_early_stopping_waits_for_so_many_evaluations_without_a_better_one(tmp_path, patience):
    still = {"schedule": lambda step, num_steps: 0.0}
    training = make(tmp_path, model=linear(), dataset=ROWS, epochs=10, early_stopping=patience, **still)
    outcome = training.run({})
    assert outcome["status"] == "done"
    assert training.counts()["epochs"] == 1 + patience  # the first evaluation is better than none
    assert outcome["metrics"]["best/epoch"] == 1


def test_a_better_evaluation_starts_the_patience_anew(tmp_path):
    third_epoch = {"schedule": lambda step, num_steps: float(12 <= step < 18), "early_stopping": 2, "epochs": 10}
    training = make(tmp_path, model=linear(), dataset=ROWS, **third_epoch)
    training.run({})
    first, second, third, *rest = (row["val/accuracy"] for row in recorded(tmp_path))
    assert first == second < third  # or this test would show little
    assert rest == [third, third]


def test_a_run_that_stopped_early_and_goes_on_stops_where_it_would_have(tmp_path):
    still = {"schedule": lambda step, num_steps: 0.0, "early_stopping": 3, "epochs": 10, "dataset": ROWS}
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, model=linear(), listener=Listener(stop_row=3), **still).run({})
    resumed = make(tmp_path, model=linear(), **still)
    resumed.run({})
    assert resumed.counts()["epochs"] == 4


def test_best_is_the_first_evaluation_with_the_highest_validation_accuracy(tmp_path):
    labels = torch.where(torch.arange(30) < 9, 1 - IMAGES.test.labels, IMAGES.test.labels)  # 9 of 30 are wrong
    test = Examples(IMAGES.test.inputs, labels)
    training = make(tmp_path, epochs=2, eval_every=1e-9, dataset=replace(IMAGES, test=test))
    test_accuracies = []

    @torch.no_grad()
    def score_test(row):
        model = copy.deepcopy(training.parts.model).eval()
        found = model(training.evaluator.scale(test.inputs)).argmax(1)
        test_accuracies.append((found == labels).double().mean().item())

    training.reporter.at_row = score_test
    metrics = training.run({})["metrics"]
    accuracies = [row["val/accuracy"] for row in recorded(tmp_path)]
    best = accuracies.index(max(accuracies))
    assert best > 0  # or this test would show little
    assert accuracies[best] != pytest.approx(test_accuracies[best])
    assert metrics["best/epoch"] == (best + 1) / 6
    assert metrics["best/val/accuracy"] == accuracies[best]
    assert metrics["best/test/accuracy"] == pytest.approx(test_accuracies[best])
    assert metrics["test/accuracy"] == pytest.approx(test_accuracies[-1])
    assert metrics["val/accuracy"] == accuracies[-1]
