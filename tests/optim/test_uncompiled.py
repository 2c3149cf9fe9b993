"""Bare steps of optimizers against PyTorch's own, decorated ones."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from bnexp.optim.adam_variants import UncorrectedAdam
from bnexp.optim.uncompiled import bare_step

OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1, fused=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.1),
    "rprop": lambda parameters: torch.optim.Rprop(parameters, lr=0.1),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.1),
    "adam_uncorrected": lambda parameters: UncorrectedAdam(
        [{"params": [*parameters], "weight_decay": 0.1}], 0.1, (0.9, 0.99), 1e-8
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_bare_step_has_the_bits_of_the_decorated_one(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    twin = deepcopy(model)
    optimizer, decorated = OPTIMIZERS[name](model.parameters()), OPTIMIZERS[name](twin.parameters())
    step = bare_step(optimizer)
    for _ in range(5):
        inputs = torch.randn(6, 3)
        for network, update in ((model, step), (twin, decorated.step)):
            network.zero_grad()
            network(inputs).square().mean().backward()
            update()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.requires_grad


def test_an_optimizer_from_elsewhere_keeps_its_decorators() -> None:
    calls = []

    class Counting(torch.optim.SGD):
        def step(self, closure=None):
            calls.append(torch.is_grad_enabled())
            return super().step(closure)

    layer = nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    bare_step(Counting(layer.parameters(), lr=0.1))()
    assert calls == [True]
