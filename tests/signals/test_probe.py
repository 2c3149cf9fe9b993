"""What is recorded against passes worked out in numpy, and the network afterwards against itself before."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.signals.nets import batch, mlp, network
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from bnexp.nn.losses import cross_entropy
from bnexp.nn.noise import GaussianNoise, draw_noise_from_
from bnexp.signals.probe import LayerSignals, probe
from bnexp.signals.untouched import untouched


def digits(num_examples: int = 32) -> tuple[Tensor, Tensor]:
    inputs, labels = batch(64, num_examples)
    return inputs.view(-1, 1, 8, 8), labels


def one(layers: tuple[LayerSignals, ...], name: str) -> LayerSignals:
    [found] = [layer for layer in layers if layer.name == name]
    return found


def test_signals_of_two_layers_are_those_of_a_pass_in_numpy() -> None:
    net = mlp(5, 7, 3, function=nn.Tanh).double()
    inputs, labels = batch(5, 20)
    labels = labels % 3
    found = probe(net, inputs.double(), labels, cross_entropy)

    x, y = inputs.double().numpy(), labels.numpy()
    w1, b1, w2, b2 = (parameter.detach().numpy() for parameter in net.parameters())
    z1 = x @ w1.T + b1
    a1 = np.tanh(z1)
    z2 = a1 @ w2.T + b2
    p = np.exp(z2) / np.exp(z2).sum(1, keepdims=True)
    d2 = (p - np.eye(3)[y]) / len(x)
    d1 = (d2 @ w2) * (1 - a1**2)

    first, last = found.layers
    assert (first.name, last.name) == ("0", "2")
    assert isinstance(first.function, nn.Tanh)
    assert last.function is None
    expected = {
        "preactivation": (z1, z2),
        "activation": (a1, z2),
        "preactivation_gradient": (d1, d2),
        "weight_gradient": (d1.T @ x, d2.T @ a1),
        "weight": (w1, w2),
    }
    for field, values in expected.items():
        for layer, value in zip((first, last), values, strict=True):
            np.testing.assert_allclose(getattr(layer, field).numpy(), value, rtol=1e-10, atol=1e-14)
    assert found.loss.item() == pytest.approx(-np.log(p[np.arange(20), y]).mean(), rel=1e-12)


def test_the_preactivation_at_the_end_of_a_residual_block_is_the_sum() -> None:
    net = network("model=resnet", "model.depth=8", "model.width=4")
    inputs, labels = digits()
    found = probe(net, inputs, labels, cross_entropy)
    block = net.get_submodule("blocks.0")
    with torch.no_grad():
        x = net.get_submodule("stem")(inputs)
        expected = block.get_submodule("shortcut")(x) + block.get_submodule("residual")(x)
    layer = one(found.layers, "blocks.0.residual.1")
    torch.testing.assert_close(layer.preactivation, expected)
    torch.testing.assert_close(layer.activation, expected.relu())


@pytest.mark.parametrize("position", ["before", "after"])
def test_a_preactivation_is_what_the_function_receives_wherever_the_norm_stands(position: str) -> None:
    net = network("model.depth=3", "model.width=4", "norm=batch", f"model.norm_position={position}")
    inputs, labels = digits()
    first = probe(net, inputs, labels, cross_entropy).layers[0]
    output = first.layer(inputs).detach()
    if position == "before":
        output = (output - output.mean((0, 2, 3), keepdim=True)) / (
            output.var((0, 2, 3), correction=0, keepdim=True) + 1e-5
        ).sqrt()
    torch.testing.assert_close(first.preactivation, output, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.activation, first.preactivation.relu())


def test_layers_come_in_the_order_of_computation() -> None:
    net = network("model=googlenet", "model.width=24")
    names = [layer.name for layer in probe(net, *digits(), cross_entropy).layers]
    assert names[:3] == ["stem.layer", "stages.0.0.branch1.layer", "stages.0.0.branch3.0.layer"]
    assert names[-1] == "output"
    assert len(names) == 1 + 9 * 6 + 1


def test_a_reparametrized_weight_has_the_gradient_of_a_plain_one() -> None:
    plain = mlp(6, 5, 10)
    normed = copy.deepcopy(plain)
    for module in normed:
        if isinstance(module, nn.Linear):
            parametrizations.weight_norm(module)
    inputs, labels = batch(6, 30)
    for ours, theirs in zip(
        probe(normed, inputs, labels, cross_entropy).layers,
        probe(plain, inputs, labels, cross_entropy).layers,
        strict=True,
    ):
        torch.testing.assert_close(ours.weight, theirs.weight)
        torch.testing.assert_close(ours.weight_gradient, theirs.weight_gradient)


def test_gradients_are_those_that_a_backward_pass_leaves() -> None:
    net = network("model.depth=4", "model.width=4", "norm=group", "norm.num_groups=2", "init=he")
    inputs, labels = digits()
    found = probe(net, inputs, labels, cross_entropy)
    cross_entropy(net(inputs), labels).backward()
    for layer in found.layers:
        torch.testing.assert_close(layer.weight_gradient, layer.layer.weight.grad)


def state(net: nn.Module) -> dict[str, object]:
    return {
        "tensors": {name: value.clone() for name, value in net.state_dict().items()},
        "modes": [module.training for module in net.modules()],
        "grads": [parameter.grad for parameter in net.parameters()],
        "trainable": [parameter.requires_grad for parameter in net.parameters()],
        "hooks": [len(module._forward_hooks) for module in net.modules()],
        "streams": [id(getattr(module, "generator", None)) for module in net.modules()],
        "random": torch.get_rng_state(),
    }


@pytest.mark.parametrize(
    "words",
    [
        ["norm=batch"],
        ["norm=batch", "norm.momentum=null"],
        ["norm=noisy_batch"],
        ["norm=ghost_batch"],
        ["norm=spectral"],
        ["norm=weight"],
        ["norm=mean_only_batch"],
        ["norm=batch_group", "norm.num_groups=2"],
        ["model.dropout=0.5", "norm=batch", "model.freeze=[stages.0]"],
    ],
)
def test_the_network_and_all_random_streams_are_bit_equal_afterwards(words: list[str]) -> None:
    net = network("model.depth=4", "model.width=4", *words)
    stream = torch.Generator().manual_seed(5)
    draw_noise_from_(net, stream)
    noise = GaussianNoise(net, 0, input=0.0, weight=0.0, activation=0.1, gradient=0.0)
    net.eval()
    net.get_submodule("output").train()
    before = state(net), stream.get_state(), noise.generators["noise/activation"].get_state()
    with torch.no_grad(), untouched(net, noise.generators.values()):  # as an evaluation may call it
        probe(net, *digits(), cross_entropy)
    after = state(net), stream.get_state(), noise.generators["noise/activation"].get_state()
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_a_network_that_fails_is_restored_too() -> None:
    net = network("model.depth=4", "model.width=4", "norm=batch").eval()
    before = state(net)
    with pytest.raises(RuntimeError):
        probe(net, torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64), cross_entropy)
    torch.testing.assert_close(state(net), before, rtol=0, atol=0)


def test_the_same_batch_gives_the_same_signals_with_dropout_as_in_training() -> None:
    net = network("model=mlp", "model.depth=2", "model.dropout=0.5", "model.dropout_position=after_norm")
    inputs, labels = digits(500)
    torch.manual_seed(1)
    first = probe(net, inputs, labels, cross_entropy)
    torch.manual_seed(2)
    second = probe(net, inputs, labels, cross_entropy)
    for one_layer, other in zip(first.layers, second.layers, strict=True):
        assert torch.equal(one_layer.preactivation, other.preactivation)
        assert torch.equal(one_layer.weight_gradient, other.weight_gradient)
    net.eval()
    with torch.no_grad():
        undropped = net(inputs)
    assert not torch.allclose(first.logits, undropped)


def test_a_frozen_weight_has_its_gradient_and_stays_frozen() -> None:
    net = mlp(6, 5, 10)
    inputs, labels = batch(6, 30)
    expected = probe(net, inputs, labels, cross_entropy).layers[0].weight_gradient
    net[0].requires_grad_(False)
    found = probe(net, inputs, labels, cross_entropy).layers[0].weight_gradient
    assert torch.equal(found, expected)
    assert not net[0].weight.requires_grad
