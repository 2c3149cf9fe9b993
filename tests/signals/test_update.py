"""Update ratios against a step computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bnexp.signals.order import layer_parameters
from bnexp.signals.update import LastStep


def test_the_ratio_is_the_length_of_the_change_over_the_length_before() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 0.0]]))
        model[0].bias.fill_(4.0)
    step = LastStep(layer_parameters(model))
    step.remember()
    with torch.no_grad():
        model[0].weight[0, 1] = 1.0
        model[0].bias.fill_(2.0)
    ratios = step.update_ratios()
    assert float(ratios["0"]) == pytest.approx(math.sqrt(1 + 4) / 5)
    assert float(ratios["1"]) == 0


def test_one_sgd_step_moves_a_layer_by_the_learning_rate_times_its_gradient() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    step = LastStep(layer_parameters(model))
    model(torch.ones(4, 3)).square().sum().backward()
    gradients = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    step.remember()
    optimizer.step()
    assert float(step.update_ratios()["0"]) == pytest.approx(0.01 * float(gradients.norm() / weights.norm()), rel=1e-4)


def test_without_a_remembered_step_there_are_no_ratios() -> None:
    step = LastStep(layer_parameters(nn.Sequential(nn.Linear(2, 2))))
    assert step.update_ratios() == {}
    step.remember()
    assert step.update_ratios() != {}
    assert step.update_ratios() == {}
