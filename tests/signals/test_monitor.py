"""The recorded numbers against those computed here from the network's outputs and gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from tests.signals.small_nets import BATCH, batch, net
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.nn import norms
from bnexp.nn.activation import marked
from bnexp.signals.level import choose_level, probe_size
from bnexp.signals.monitor import Monitor


def monitor(model: nn.Module, level: str = "light", unit: int = 0, **changes: Any) -> Monitor:
    inputs, labels = batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    batches = [(inputs[rows], labels[rows]) for rows in (slice(0, 6), slice(6, 12))]
    keywords = {"generators": [], "probe_batch": (inputs, labels), "batches": batches, "gradient_clip": None, **changes}
    return Monitor(model, F.cross_entropy, optimizer, level=level, unit=unit, **keywords)


def relu_net() -> nn.Sequential:
    """Rows (N, 3) to 2 logits over 4 ReLU units, of which the second is dead."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), marked(nn.ReLU)(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[0].bias[1] = -100
    return model


def test_light_numbers_are_those_of_the_layers_outputs_and_gradients() -> None:
    model, (inputs, labels) = relu_net(), batch()
    found = monitor(model, unit=2).measure().numbers
    before = model[0](inputs)
    after = before.relu()
    F.cross_entropy(model[2](after), labels).backward()
    before, after = before.detach().numpy(), after.detach().numpy()
    for name, values in (("preactivation", before), ("activation", after)):
        assert found[f"signal/0/{name}_mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert found[f"signal/0/{name}_std"] == pytest.approx(values.std(), rel=1e-5)
        for percent in (15, 50, 85):
            expected = np.percentile(values, percent)
            assert found[f"signal/0/{name}_p{percent}"] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    for percent in (15, 50, 85):
        assert found[f"signal/0/unit2/p{percent}"] == pytest.approx(np.percentile(before[:, 2], percent), rel=1e-5)
    assert "signal/2/unit2/p50" not in found  # which has two units
    assert found["signal/0/zero_fraction"] == pytest.approx((after == 0).mean())
    assert found["signal/0/dead_fraction"] == 0.25
    for layer in (0, 2):
        assert found[f"signal/{layer}/gradient_norm"] == pytest.approx(float(model[layer].weight.grad.norm()), rel=1e-5)


def test_batch_norm_is_probed_with_the_statistics_of_the_probe_batch() -> None:
    model = net(BATCH)
    found = monitor(model).measure().numbers
    outputs = model[0](batch()[0]).detach()  # what the norm receives
    normalized = (outputs - outputs.mean(0)) / (outputs.var(0, correction=0) + 1e-5).sqrt()
    assert found["signal/0/preactivation_std"] == pytest.approx(float(normalized.std(correction=0)), rel=1e-5)


def test_full_numbers_hold_what_is_special_about_a_quadratic() -> None:
    # One linear layer with squared loss: the Hessian is that of least squares, the same everywhere.
    model = nn.Sequential(nn.Linear(3, 1, bias=False)).double()
    inputs = batch()[0]

    def squares(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs[:, 0] - labels).square().mean()

    labels = batch()[1].double()
    watch = Monitor(
        model,
        squares,
        torch.optim.SGD(model.parameters(), lr=0.1),
        generators=[],
        probe_batch=(inputs, labels),
        batches=[(inputs, labels), (inputs, labels)],
        level="full",
        unit=0,
        gradient_clip=None,
    )
    found = watch.measure().numbers
    eigenvalues = torch.linalg.eigvalsh(2 * inputs.T @ inputs / len(inputs))
    assert found["signal/hessian_largest"] == pytest.approx(float(eigenvalues[-1]))
    assert found["signal/hessian_smallest"] == pytest.approx(float(eigenvalues[0]))
    assert found["signal/hessian_negative_fraction"] == pytest.approx(0, abs=1e-9)
    assert eigenvalues[0] <= found["signal/effective_smoothness"] <= eigenvalues[-1]
    assert found["signal/0/covariate_shift"] == 0
    assert math.isinf(found["signal/gradient_signal_to_noise"])  # the two batches are the same


def test_histograms_come_with_full_alone() -> None:
    assert monitor(net()).measure().histograms == {}
    found = monitor(net(), "full").measure().histograms
    assert found["signal/0/weight"].counts != ()
    assert sum(found["signal/0/activation"].counts) == 12 * 4
    assert sum(found["signal/6/gradient"].counts) == 3 * 2


def test_off_measures_nothing() -> None:
    watch = monitor(net(), "off")
    watch.before_last_step()
    assert watch.measure().numbers == {}


def test_two_measurements_of_the_same_network_agree_in_spite_of_dropout() -> None:
    watch = monitor(net(dropout=0.5), "full")
    assert watch.measure().numbers == watch.measure().numbers


def test_auto_is_light_where_the_probe_costs_under_three_percent() -> None:
    assert choose_level("auto", num_probed=512, num_trained=54_000) == "light"  # an epoch of MNIST
    assert choose_level("auto", num_probed=512, num_trained=1_300) == "off"  # of the bundled digits
    assert choose_level("full", num_probed=512, num_trained=1) == "full"
    assert choose_level("off", num_probed=1, num_trained=10**9) == "off"


def test_the_probe_is_no_larger_than_the_split_and_whole_ghost_batches() -> None:
    plain = net()
    assert [probe_size(512, num, plain) for num in (1000, 300)] == [512, 300]
    ghost = norms.ghost_batch(ghost_size=48, eps=1e-5, momentum=0.1, affine=True, input=False).features(4, False)
    assert probe_size(512, 1000, nn.Sequential(ghost)) == 480
    assert probe_size(10, 1000, nn.Sequential(ghost)) == 48
