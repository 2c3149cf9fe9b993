"""Scores against a plain loop over examples in Python's own floating point."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnexp.data.dataset import Dataset, Examples
from bnexp.training.batches import Scale
from bnexp.training.evaluation import Evaluator, evaluate
from bnexp.training.settings import Evaluation

FULL = torch.autocast("cpu", enabled=False)


def batches(num_examples, size, num_classes=4):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(num_examples, 6, generator=generator)
    labels = torch.randint(num_classes, (num_examples,), generator=generator)
    return list(zip(inputs.split(size), labels.split(size), strict=True))


def one_by_one(model, data):
    """Mean of log Σ exp z − z_label, and the portion where no logit is above the label's."""
    losses, correct = [], []
    for inputs, labels in data:
        for x, label in zip(inputs, labels.tolist(), strict=True):
            logits = model(x[None])[0].tolist()
            losses.append(math.log(sum(math.exp(z) for z in logits)) - logits[label])
            correct.append(max(logits) == logits[label])
    return sum(losses) / len(losses), sum(correct) / len(correct)


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_it_equals_a_plain_loop_over_the_examples_whatever_the_batches(size):
    torch.manual_seed(0)
    model = nn.Linear(6, 4)
    score = evaluate(model, batches(100, size), FULL)
    loss, accuracy = one_by_one(model, batches(100, 100))
    assert score.loss == pytest.approx(loss, rel=1e-5)
    assert score.accuracy == accuracy


def test_equal_logits_score_the_logarithm_of_the_number_of_classes():
    model = nn.Linear(6, 4)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    assert evaluate(model, batches(40, 10), FULL).loss == pytest.approx(math.log(4), rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_running_statistics_are_used_and_left_as_they_are_and_the_mode_comes_back(training):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4)).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = evaluate(model, batches(60, 20), FULL)
    assert evaluate(model, batches(60, 60), FULL) == pytest.approx(first, rel=1e-5)
    assert all(module.training is training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_no_gradient_is_kept():
    seen = []
    model = nn.Linear(6, 4)
    model.register_forward_hook(lambda _module, _inputs, output: seen.append(output.requires_grad))
    evaluate(model, batches(4, 2), FULL)
    assert seen == [False, False]


def test_in_bfloat16_the_forward_pass_is_and_the_loss_is_not():
    torch.manual_seed(0)
    model, logits, data = nn.Linear(6, 4), [], batches(100, 50)
    model.register_forward_hook(lambda _module, _inputs, output: logits.append(output))
    score = evaluate(model, data, torch.autocast("cpu", torch.bfloat16))
    assert {part.dtype for part in logits} == {torch.bfloat16}
    labels = torch.cat([part for _, part in data])
    expected = F.cross_entropy(torch.cat(logits).double(), labels).item()
    assert score.loss == pytest.approx(expected, rel=1e-6)


def test_logits_that_are_no_numbers_give_a_loss_that_is_none():
    model = nn.Linear(6, 4)
    nn.init.constant_(model.weight, math.nan)
    score = evaluate(model, batches(10, 5), FULL)
    assert math.isnan(score.loss)
    assert 0 <= score.accuracy <= 1


def test_a_split_without_examples_has_no_score():
    with pytest.raises(ValueError, match="without examples"):
        evaluate(nn.Linear(6, 4), [], FULL)


def normalized_net():
    """A batch norm straight on the inputs, whose running statistics (0, 1) fit nothing, and a linear layer."""
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm1d(6, affine=False), nn.Linear(6, 4)).eval()


def shifted(num_examples, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = 5 + 3 * torch.randn(num_examples, 6, generator=generator)
    return Examples(inputs, torch.randint(4, (num_examples,), generator=generator))


def evaluator(train, statistics, batch_size):
    dataset = Dataset(train, train, train, tuple("abcd"), torch.zeros(6), torch.ones(6))
    settings = Evaluation(statistics=statistics, batch_size=batch_size)
    return Evaluator(settings, train, Scale(dataset, torch.device("cpu")), FULL)


def score_of(evaluator, model, examples):
    with evaluator.scoring(model) as score:
        return score(examples)


def loss_with(mean, var, model, examples):
    logits = model[1]((examples.inputs - mean) / torch.sqrt(var + 1e-5))
    return F.cross_entropy(logits, examples.labels).item()


@pytest.mark.parametrize(("batch_size", "num_train"), [(7, 3000), ("full", 3000), (7, 1001), (7, 2)])
def test_precise_statistics_are_those_of_the_training_set(batch_size, num_train):
    model, train, val = normalized_net(), shifted(num_train, 1), shifted(50, 2)
    score = score_of(evaluator(train, "precise", batch_size), model, val)
    expected = loss_with(train.inputs.mean(0), train.inputs.var(0), model, val)
    assert score.loss == pytest.approx(expected, rel=1e-5)


def test_batch_statistics_are_those_of_the_evaluation_batch():
    model, train, val = normalized_net(), shifted(3000, 1), shifted(50, 2)
    score = score_of(evaluator(train, "batch", "full"), model, val)
    expected = loss_with(val.inputs.mean(0), val.inputs.var(0, correction=0), model, val)
    assert score.loss == pytest.approx(expected, rel=1e-5)
    assert score_of(evaluator(train, "batch", 5), model, val).loss != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("statistics", ["running", "precise", "batch"])
def test_an_evaluation_leaves_the_network_as_it_was(statistics):
    model, train, val = normalized_net(), shifted(100, 1), shifted(50, 2)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    score_of(evaluator(train, statistics, 10), model, val)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(("num_train", "sizes"), [(1001, [501, 500]), (3000, [1000] * 3), (2500, [834, 834, 832])])
def test_precise_statistics_are_taken_in_equal_parts_once_for_all_splits(num_train, sizes):
    model, train, val = normalized_net(), shifted(num_train, 1), shifted(50, 2)
    seen = []
    model.register_forward_hook(lambda _module, inputs, _output: seen.append(len(inputs[0])))
    with evaluator(train, "precise", "full").scoring(model) as score:
        assert score(val) == score(val)
    assert seen == [*sizes, 50, 50]
