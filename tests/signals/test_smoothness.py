"""The loss along its gradient, against closed forms on quadratics and a pure function of the parameters."""

from __future__ import annotations

import math

import pytest
import torch
from tests.signals.small_nets import as_function, bowl, net, objective

from bnexp.signals.smoothness import FACTORS, smoothness


def test_on_a_quadratic_the_effective_smoothness_is_the_curvature_along_the_gradient() -> None:
    bowled, hessian, start = bowl(5.0, 2.0, 0.5, -1.0)
    found = smoothness(bowled, lr=0.1)
    gradient = hessian @ start
    assert found.effective_smoothness == pytest.approx(float((hessian @ gradient).norm() / gradient.norm()))
    changes = [float(0.1 * factor * (hessian @ gradient).norm()) for factor in (0.5, 4.0)]
    assert [found.gradient_change_min, found.gradient_change_max] == pytest.approx(changes)


def test_on_a_quadratic_the_loss_range_is_that_of_a_parabola() -> None:
    bowled, hessian, start = bowl(3.0, 1.0, 0.2)
    found = smoothness(bowled, lr=0.2)
    points = [start - 0.2 * factor * (hessian @ start) for factor in FACTORS]
    losses = [float(point @ hessian @ point / 2) for point in points]
    assert (found.loss_min, found.loss_max) == pytest.approx((min(losses), max(losses)))


def test_a_network_has_the_numbers_of_its_loss_as_a_pure_function() -> None:
    model = net()
    found = smoothness(objective(model), lr=0.3)
    loss, start = as_function(model)
    slope = torch.func.grad(loss)
    gradient = slope(start)
    steps = [0.3 * factor for factor in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)]
    losses = [float(loss(start - step * gradient)) for step in steps]
    changes = [float((slope(start - step * gradient) - gradient).norm()) for step in steps]
    ratios = [change / (step * float(gradient.norm())) for change, step in zip(changes, steps, strict=True)]
    assert (found.loss_min, found.loss_max) == pytest.approx((min(losses), max(losses)))
    assert (found.gradient_change_min, found.gradient_change_max) == pytest.approx((min(changes), max(changes)))
    assert found.effective_smoothness == pytest.approx(max(ratios))


def test_dropout_draws_the_same_mask_at_every_point() -> None:
    # Were the masks drawn anew, the gradients would differ by more than a step of 10⁻⁷ times their size can change.
    found = smoothness(objective(net(dropout=0.5)), lr=1e-7)
    assert found.effective_smoothness < 100


def test_the_parameters_are_left_where_they_were() -> None:
    model = net()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    smoothness(objective(model), lr=0.3)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_at_a_minimum_there_is_no_direction_to_measure_along() -> None:
    bowled, _, _ = bowl(1.0, 1.0)
    with torch.no_grad():
        bowled.parameters[0].zero_()
    assert math.isnan(smoothness(bowled, lr=0.1).effective_smoothness)
