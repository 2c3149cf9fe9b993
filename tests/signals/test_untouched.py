"""Whatever a measurement does within, the network and its noise come out bit for bit as they went in."""

from __future__ import annotations

import pytest
import torch
from tests.signals.small_nets import batch, net
from torch import nn

from bnexp.nn import norms
from bnexp.nn.noise import draw_noise_from_
from bnexp.signals.objective import Objective
from bnexp.signals.untouched import noise_generators, untouched


def test_buffers_modes_and_generators_are_restored_also_after_an_error() -> None:
    model, draws = net(dropout=0.5), torch.Generator().manual_seed(3)
    draw_noise_from_(model, draws)
    model.eval()
    model[4].train()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    states = draws.get_state(), torch.get_rng_state()

    def measure() -> None:
        with untouched(model):
            model(batch()[0])
            torch.randn(3)
            raise KeyError

    with pytest.raises(KeyError):
        measure()
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    assert torch.equal(draws.get_state(), states[0])
    assert torch.equal(torch.get_rng_state(), states[1])
    assert [name for name, module in model.named_modules() if module.training] == ["4"]


def test_buffers_keep_their_storage() -> None:
    model = net()
    places = [buffer.data_ptr() for buffer in model.buffers()]
    with untouched(model):
        model(batch()[0])
    assert [buffer.data_ptr() for buffer in model.buffers()] == places


def test_within_a_network_trains_and_its_noise_is_the_same_each_time() -> None:
    model, draws = net(dropout=0.5), torch.Generator().manual_seed(3)
    draw_noise_from_(model, draws)
    outputs = []
    for _ in range(2):
        with untouched(model.eval()):
            assert all(module.training for module in model.modules())
            outputs.append(model(batch()[0]))
        torch.rand(1, generator=draws)
    assert torch.equal(*outputs)


def test_all_generators_of_a_network_are_found_each_once() -> None:
    shared, other = torch.Generator(), torch.Generator()
    model = nn.Sequential(net(dropout=0.5), net(dropout=0.2))
    draw_noise_from_(model, shared)
    assert noise_generators(model, [other, shared]) == [torch.default_generator, shared, other]


def test_the_objective_is_a_function_of_the_parameters_alone() -> None:
    model = net(norms.spectral(n_power_iterations=1, eps=1e-12), dropout=0.5)  # its singular vectors move at each call
    found = Objective(model, nn.functional.cross_entropy, *batch())
    first = found()
    with torch.no_grad():
        for parameter in found.parameters:
            parameter.add_(0.1)
        assert found() != first
        for parameter in found.parameters:
            parameter.sub_(0.1)
    assert found().item() == pytest.approx(first.item(), rel=1e-12)


def test_gradients_of_an_objective_leave_grad_alone() -> None:
    model = net()
    found = Objective(model, nn.functional.cross_entropy, *batch())
    loss, gradients = found.gradients()
    assert all(parameter.grad is None for parameter in model.parameters())
    found().backward()
    assert loss.item() == found().item()
    assert all(torch.equal(slope, own.grad) for slope, own in zip(gradients, model.parameters(), strict=True))
