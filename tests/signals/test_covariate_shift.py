"""Santurkar's definition, against gradients of a pure function and closed forms on linear networks."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from tests.signals.small_nets import batch, call, net, objective
from tests.training.small_run import assert_same_state
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.optim import optimizers
from bnexp.signals.covariate_shift import after_a_step, covariate_shift
from bnexp.signals.objective import Objective
from bnexp.signals.order import layer_parameters, parameter_order


def shifts(model: nn.Module, found: Objective, updated: dict[Tensor, Tensor]) -> dict[str, tuple[float, float]]:
    return dict(covariate_shift(found, layer_parameters(model), parameter_order(model, batch()[0]), updated))


def test_every_layer_is_compared_at_the_updated_parameters_of_all_below_it() -> None:
    model = net()
    updated = {parameter: parameter.detach() + 0.1 for parameter in model.parameters()}
    found = shifts(model, objective(model), updated)
    inputs, labels = batch()
    state = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def gradient(layer: str, moved: tuple[str, ...]) -> Tensor:
        own = {name: state[name] for name in (f"{layer}.weight", f"{layer}.bias")}
        below = {name: value + 0.1 for name, value in state.items() if name.split(".")[0] in moved}

        def loss(values: dict[str, Tensor]) -> Tensor:
            return F.cross_entropy(call(model, {**state, **below, **values}, inputs), labels)

        return torch.cat([slope.flatten() for slope in torch.func.grad(loss)(own).values()])

    # Layer 0, its batch norm 1, layer 4, layer 6.
    for layer, below in {"0": (), "4": ("0", "1"), "6": ("0", "1", "4")}.items():
        before, after = gradient(layer, ()), gradient(layer, below)
        distance, cosine = found[layer]
        assert distance == pytest.approx(float((before - after).norm()))
        assert cosine == pytest.approx(float(F.cosine_similarity(before, after, dim=0)))


def test_the_first_layer_has_nothing_below_it_that_could_shift() -> None:
    model = net()
    updated = {parameter: parameter.detach() * 2 for parameter in model.parameters()}
    distance, cosine = shifts(model, objective(model), updated)["0"]
    assert distance == 0
    assert cosine == pytest.approx(1)


def test_a_linear_loss_of_two_layers_shifts_by_the_change_of_the_first() -> None:
    # L = w₂ w₁ x: ∂L/∂w₂ = w₁ x.
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    x = torch.tensor([[2.0]], dtype=torch.float64)
    line = Objective(model, lambda logits, _: logits.sum(), x, x)
    first, second = model.parameters()
    with torch.no_grad():
        first.fill_(3.0)
        second.fill_(5.0)
    updated = {first: first.detach() - 7, second: second.detach()}
    found = covariate_shift(line, layer_parameters(model), [first, second], updated)
    assert found["1"] == pytest.approx((7 * 2, -1))


def test_parameters_are_left_where_they_were() -> None:
    model = net()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    shifts(model, objective(model), {parameter: parameter.detach() + 1 for parameter in model.parameters()})
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


DECAY = {"weight_decay": 1e-2, "decay_all": False}
OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda model: optimizers.sgd(model, lr=0.1, **DECAY),
    "momentum": lambda model: optimizers.momentum(model, lr=0.1, momentum=0.9, **DECAY),
    "adam": lambda model: optimizers.adam(model, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8, **DECAY),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 0.01])
def test_the_foreseen_step_is_the_one_that_the_optimizer_then_takes(name: str, clip: float | None) -> None:
    model = net()
    optimizer = OPTIMIZERS[name](model)
    for _ in range(3):
        gradients = dict(zip(model.parameters(), objective(model).gradients()[1], strict=True))
        state = deepcopy(optimizer.state_dict())
        foreseen = after_a_step(optimizer, gradients, clip)
        assert_same_state(optimizer.state_dict(), state)
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        if clip is not None:
            nn.utils.clip_grad_norm_(list(model.parameters()), clip)
        optimizer.step()
        assert all(torch.equal(parameter, foreseen[parameter]) for parameter in model.parameters())
