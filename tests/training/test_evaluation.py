"""Scores against a plain loop over examples in Python's own floating point."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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


class Fixed(nn.Module):
    """Answers with the logits that are stored for the inputs' indices."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, inputs):
        return self.logits[inputs[:, 0].long()]


def scored(logits, labels, size=7):
    """The score of these logits (N, K) for these labels, in batches."""
    indices = torch.arange(len(labels), dtype=torch.float32)[:, None]
    return evaluate(Fixed(logits), zip(indices.split(size), labels.split(size), strict=True), FULL)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["all", "one example", "one logit", "a whole class"])
def test_a_split_has_no_score_where_one_output_or_more_is_no_finite_number(value, where):
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(40) % 3
    assert all(map(math.isfinite, scored(logits, labels)))
    logits[{"all": ..., "one example": 17, "one logit": (17, 2), "a whole class": (slice(None), 1)}[where]] = value
    assert all(map(math.isnan, scored(logits, labels)))


def test_logits_whose_difference_is_beyond_float32_are_no_answer_as_their_loss_is_none():
    logits = torch.tensor([[3e38, -3e38], [1.0, 0.0]])
    assert math.isinf(F.cross_entropy(logits, torch.tensor([1, 0])))
    assert all(map(math.isnan, scored(logits, torch.tensor([0, 0]))))


@pytest.mark.parametrize("init", [nn.init.zeros_, lambda weight: nn.init.constant_(weight, 3.0)])
@pytest.mark.parametrize("rare", range(4))
def test_a_network_without_an_opinion_is_as_good_as_guessing_whichever_class_is_rare(init, rare):
    model = nn.Linear(6, 4)
    init(model.weight)
    nn.init.zeros_(model.bias)
    labels = (torch.arange(100) < 95).long() * (rare + 1) % 4  # 95 of the class behind the rare one, 5 of class 0
    data = [(torch.randn(100, 6, generator=torch.Generator().manual_seed(0)), labels)]
    assert evaluate(model, data, FULL).accuracy == 1 / 4


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_renaming_the_classes_changes_no_score(data):
    num_classes, num_examples = data.draw(st.integers(2, 6)), data.draw(st.integers(1, 30))
    values = st.sampled_from([0.0, 1.0, -2.0, 1.5, 3e38, -3e38, math.nan, math.inf, -math.inf])
    if data.draw(st.booleans()):
        values = st.sampled_from([0.0, 1.0, -2.0, 1.5])
    rows = data.draw(
        st.lists(
            st.lists(values, min_size=num_classes, max_size=num_classes), min_size=num_examples, max_size=num_examples
        )
    )
    labels = torch.tensor(
        data.draw(st.lists(st.integers(0, num_classes - 1), min_size=num_examples, max_size=num_examples))
    )
    order = torch.tensor(data.draw(st.permutations(range(num_classes))))  # class k is called order[k] now
    logits = torch.tensor(rows)
    renamed = torch.empty_like(logits)
    renamed[:, order] = logits
    one, other = scored(logits, labels), scored(renamed, order[labels])
    assert math.isnan(one.accuracy) == math.isnan(other.accuracy) == (not logits.isfinite().all() or spread(rows) > F32)
    if not math.isnan(one.accuracy):
        assert one.accuracy == other.accuracy
        assert one.loss == pytest.approx(other.loss, rel=1e-5)


F32 = torch.finfo(torch.float32).max


def spread(rows):
    return max(max(row) - min(row) for row in rows)


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
