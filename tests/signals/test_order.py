"""The order of computation, on networks that register their layers in another order."""

from __future__ import annotations

import torch
from tests.signals.small_nets import net
from torch import Tensor, nn

from bnexp.nn import norms
from bnexp.signals.order import layer_parameters, parameter_order


class Backwards(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(2, 2)
        self.unused = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.first = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.norm(self.first(x)))
        return self.last(y)


def test_parameters_come_as_the_network_calls_their_modules_first() -> None:
    model = Backwards()
    names = {parameter: name for name, parameter in model.named_parameters()}
    order = [names[parameter] for parameter in parameter_order(model, torch.randn(4, 2))]
    assert order == ["first.weight", "first.bias", "norm.weight", "norm.bias", "last.weight", "last.bias"]
    assert model.norm.num_batches_tracked == 0


def test_frozen_parameters_are_left_out_and_a_layer_of_them_too() -> None:
    model = Backwards()
    for parameter in model.first.parameters():
        parameter.requires_grad_(False)
    model.last.bias.requires_grad_(False)
    assert [id(own) for own in layer_parameters(model)["last"]] == [id(model.last.weight)]
    assert list(layer_parameters(model)) == ["last", "unused"]
    assert len(parameter_order(model, torch.randn(4, 2))) == 3


def test_a_reparametrized_layer_has_the_parameters_that_there_really_are() -> None:
    model = net(norms.weight()).float()
    own = {id(parameter) for parameter in layer_parameters(model)["0"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in own}
    assert names == {"0.bias", "0.parametrizations.weight.original0", "0.parametrizations.weight.original1"}
    assert len(parameter_order(model, torch.randn(4, 3))) == len(list(model.parameters()))
