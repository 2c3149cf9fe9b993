"""Jacobians against torch.func, against products of weights, and against batch norm written out."""

from __future__ import annotations

import pytest
import torch
from tests.signals.nets import batch, mlp, network
from torch import nn

from bnexp.signals.jacobian import input_jacobians, singular_values


def test_a_jacobian_is_the_one_of_torch_func() -> None:
    net = mlp(6, 8, 7, 4, function=nn.Tanh).double()
    inputs = batch(6, 5)[0].double()
    expected = torch.stack([torch.func.jacrev(net)(one) for one in inputs[:3]])
    torch.testing.assert_close(input_jacobians(net, inputs, 3), expected)


def test_that_of_a_convnet_is_the_one_of_torch_func_too() -> None:
    net = network("model.depth=3", "model.width=4", "activation=gelu", "init=he").double()
    inputs = batch(64, 4)[0].view(-1, 1, 8, 8).double()
    expected = torch.stack([torch.func.jacrev(lambda x: net(x[None])[0])(one).flatten(1) for one in inputs])
    torch.testing.assert_close(input_jacobians(net, inputs, 4), expected)


def test_singular_values_of_a_linear_network_are_those_of_the_product_of_its_weights() -> None:
    net = mlp(6, 8, 7, 4, function=nn.Identity).double()
    first, second, third = (module.weight.detach() for module in net if isinstance(module, nn.Linear))
    found = singular_values(net, batch(6, 9)[0].double(), 2)
    torch.testing.assert_close(found, torch.linalg.svdvals(third @ second @ first))


def test_a_batch_norm_keeps_the_statistics_of_the_batch_and_is_not_touched() -> None:
    net = mlp(6, 5, 4, function=nn.Identity, norm=True).double()
    inputs = batch(6, 2000)[0].double() * 3 + 1
    before = {name: value.clone() for name, value in net.state_dict().items()}
    first, norm, _, last = net
    with torch.no_grad():
        std = (first(inputs).var(0, correction=1) + norm.eps).sqrt()
        expected = torch.linalg.svdvals(last.weight @ (first.weight / std[:, None]))
    torch.testing.assert_close(singular_values(net, inputs, 2), expected)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert all(module.training for module in net.modules())


def test_an_infinite_jacobian_has_no_singular_values() -> None:
    net = mlp(3, 3, 2)
    with torch.no_grad():
        net[0].weight.fill_(1e30)
        net[2].weight.fill_(1e30)
    found = singular_values(net, torch.ones(2, 3), 1)
    assert found.shape == (2,)
    assert found.isnan().all()


@pytest.mark.parametrize("norm", ["batch", "ghost_batch", "noisy_batch", "layer", "instance", "weight", "spectral"])
def test_every_kind_of_norm_has_finite_singular_values(norm: str) -> None:
    net = network("model.depth=3", "model.width=4", f"norm={norm}", "model.dropout=0.5")
    found = singular_values(net, batch(64, 32)[0].view(-1, 1, 8, 8), 2)
    assert found.shape == (10,)
    assert found[0] > 0
