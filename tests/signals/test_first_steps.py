"""A network's first steps on one batch, with networks made to pass and to fail."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bnexp.nn import norms
from bnexp.nn.losses import cross_entropy
from bnexp.nn.noise import Dropout
from bnexp.signals.first_steps import Task, agreement_, fit_, initial_loss_, without_dropout_

FP32 = torch.autocast("cpu", enabled=False)


def task(count: int = 32, clip: float | None = None) -> Task:
    draws = torch.Generator().manual_seed(0)
    return Task(torch.randn(count, 6, generator=draws), torch.arange(count) % 3, cross_entropy, clip, FP32)


def mlp(norm: nn.Module | None = None, activation: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 20), norm or nn.Identity(), activation or nn.ReLU(), nn.Linear(20, 3))


def fit(model: nn.Module, lr: float = 0.1, given: Task | None = None, num_steps: int = 200, seconds: float = math.inf):
    optimizer = torch.optim.Adam(model.parameters(), lr)
    return fit_(model, given or task(), optimizer, num_steps=num_steps, gradient_steps=5, seconds=seconds)


def test_zero_logits_have_a_loss_of_ln_3_and_sure_ones_a_loss_as_large_as_they_are() -> None:
    model = mlp()
    nn.init.zeros_(model[3].weight)
    nn.init.zeros_(model[3].bias)
    assert initial_loss_(model, task()) == pytest.approx(math.log(3))
    model[3].bias.data[0] = 100.0
    labels = task().labels
    assert initial_loss_(model, task()) == pytest.approx(100 * float((labels != 0).double().mean()))


def test_a_batch_is_learned_by_heart_and_every_parameter_is_reached() -> None:
    found = fit(mlp())
    assert found.step is not None
    assert (found.accuracy, found.unreached, found.broken) == (1.0, (), ())


def test_the_step_is_the_number_of_updates_before_all_answers_are_right() -> None:
    model = nn.Linear(6, 3)
    given = task(3)
    with torch.no_grad():  # a linear map that has the answers
        model.weight.copy_(10 * torch.eye(3) @ torch.linalg.pinv(given.inputs.T))
        model.bias.zero_()
    assert fit(model, given=given).step == 0


def test_labels_that_contradict_each_other_are_not_learned() -> None:
    given = task()
    same = Task(given.inputs[:1].expand(32, -1), given.labels, cross_entropy, None, FP32)
    found = fit(mlp(), given=same)
    assert (found.step, found.num_steps) == (None, 200)
    assert found.accuracy < 0.5


def test_no_step_begins_when_time_is_over_but_those_whose_gradients_are_watched() -> None:
    found = fit(mlp(), lr=1e-9, seconds=0)
    assert (found.step, found.num_steps) == (None, 5)
    assert found.unreached == ()


def test_zero_weights_get_no_gradient_but_the_last_bias() -> None:
    model = mlp()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    assert fit(model).unreached == ("0.weight", "0.bias", "3.weight")


def test_a_part_that_is_not_used_is_named() -> None:
    model = mlp()
    model.register_module("unused", nn.Linear(2, 2))
    model.forward = lambda x: model[3](model[2](model[0](x)))  # type: ignore[method-assign]
    assert fit(model).unreached == ("unused.weight", "unused.bias")


def test_a_branch_that_starts_at_zero_on_purpose_is_reached_after_the_first_step() -> None:
    model = mlp()
    nn.init.zeros_(model[3].weight)  # so that the first gradient of all before it is 0
    assert fit(model).unreached == ()


class Centre(nn.Module):
    """A norm that subtracts the batch's mean of values that float64 holds exactly."""

    def forward(self, x):
        return x - x.mean(0)


def test_a_bias_in_front_of_a_norm_is_not_missed() -> None:
    model = mlp(Centre())

    def silence(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * 0  # rounding may or may not leave something; here it does not

    model[0].bias.register_hook(silence)
    assert fit(model).unreached == ()


def test_what_training_leaves_alone_is_not_missed() -> None:
    model = mlp()
    model[0].requires_grad_(False)
    assert fit(model).unreached == ()


def test_a_gradient_that_is_not_finite_is_named() -> None:
    model = mlp()
    model[0].weight.register_hook(lambda gradient: gradient * float("inf"))
    found = fit(model)
    assert found.broken == ("0.weight",)
    assert math.isnan(found.loss)
    assert found.step is None


def test_the_gradient_is_clipped_as_in_the_run() -> None:
    model = mlp()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    fit_(model, task(clip=1e-3), optimizer, num_steps=1, gradient_steps=5, seconds=math.inf)
    moved = torch.cat([(a - b).flatten() for a, b in zip(model.parameters(), before, strict=True)])
    assert float(moved.detach().norm()) == pytest.approx(1e-3, rel=1e-3)


def test_without_a_norm_both_modes_agree_to_the_bit() -> None:
    found = agreement_(mlp(), task(), num_passes=3, seconds=math.inf)
    assert tuple(found) == (1.0, 0.0)


def test_with_batch_norm_the_difference_is_bessels_correction() -> None:
    """One norm behind the last layer: z_eval = z_train · √((v + ε) / (v n / (n − 1) + ε))."""
    model = nn.Sequential(
        nn.Linear(6, 3), norms.batch(eps=1e-12, momentum=0.1, affine=True, input=False).features(3, False)
    )
    found = agreement_(model, task(32), num_passes=300, seconds=math.inf)
    assert found.predictions == 1
    assert found.difference == pytest.approx(1 - math.sqrt(31 / 32), rel=1e-3)


def test_statistics_that_do_not_settle_are_seen() -> None:
    norm = norms.batch(eps=1e-5, momentum=1e-6, affine=True, input=False).features(20, False)
    model = mlp(norm)
    model[0].weight.data.mul_(30)
    model[0].bias.data.add_(50)
    assert agreement_(model, task(), num_passes=100, seconds=math.inf).predictions < 0.9


def test_running_averages_of_long_memory_settle_too() -> None:
    """Keras' 0.99, in PyTorch's sense 0.01: the first passes do not agree, and it takes no more than are needed."""
    norm = norms.batch(eps=1e-5, momentum=0.01, affine=True, input=False).features(20, False)
    model = mlp(norm)
    model[0].weight.data.mul_(30)
    model[0].bias.data.add_(50)
    assert agreement_(model, task(), num_passes=10_000, seconds=0).difference > 0.05
    found = agreement_(model, task(200), num_passes=10_000, seconds=math.inf)
    assert found.predictions == 1
    assert found.difference < 0.01


def test_logits_that_are_no_numbers_agree_with_nothing() -> None:
    model = mlp()
    model[3].bias.data.fill_(float("nan"))
    assert agreement_(model, task(), num_passes=1, seconds=math.inf).predictions == 0


def test_dropout_of_either_kind_is_turned_off() -> None:
    model = without_dropout_(nn.Sequential(nn.Dropout(0.5), Dropout(0.5)).train())
    ones = torch.ones(100)
    assert torch.equal(model(ones), ones)
