"""Running statistics against the batch's, by hand on single norms and with dropout's closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bnexp.nn import norms
from bnexp.nn.noise import Dropout
from bnexp.signals.batch_discrepancy import batch_discrepancy
from bnexp.signals.untouched import untouched

SETTINGS = {"eps": 1e-5, "momentum": 0.1, "affine": True, "input": False}


def image_batches(num_batches: int = 3) -> list[torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    shift, scale = torch.tensor([1.0, -2.0]).view(2, 1, 1), torch.tensor([1.0, 4.0]).view(2, 1, 1)
    return [torch.randn(8, 2, 3, 3, generator=draws) * scale + shift for _ in range(num_batches)]


def test_a_norm_is_compared_channel_by_channel_with_each_batch_and_with_all_together() -> None:
    norm = norms.batch(**SETTINGS).features(2, True)
    running_mean, running_var = torch.tensor([0.5, 1.0]), torch.tensor([2.0, 3.0])
    norm.running_mean.copy_(running_mean)
    norm.running_var.copy_(running_var)
    model, batches = nn.Sequential(norm), image_batches()
    with untouched(model):
        found = batch_discrepancy(model, batches)["0"]
    values = [batch.transpose(0, 1).flatten(1) for batch in batches]
    known = running_var + 1e-5
    shifts = [((part.mean(1) - running_mean) / known.sqrt()).square().mean().sqrt() for part in values]
    logs = [((part.var(1) + 1e-5) / known).log().mean() for part in values]
    assert found.mean_shift == pytest.approx(float(torch.stack(shifts).mean()), rel=1e-5)
    assert found.log_variance_ratio == pytest.approx(float(torch.stack(logs).mean()), rel=1e-5)
    ratio = ((torch.cat(values, 1).var(1) + 1e-5) / known).mean()
    assert found.eval_variance_ratio == pytest.approx(float(ratio), rel=1e-5)
    assert torch.equal(norm.running_mean, running_mean)


def test_running_statistics_of_the_very_batch_do_not_differ_from_it() -> None:
    norm = norms.batch(**SETTINGS | {"momentum": 1.0}).features(2, True)
    model, batches = nn.Sequential(norm), image_batches(1)
    model(batches[0])
    with untouched(model):
        found = batch_discrepancy(model, batches)["0"]
    assert found.mean_shift == pytest.approx(0, abs=1e-6)
    assert found.log_variance_ratio == pytest.approx(0, abs=1e-6)
    assert found.eval_variance_ratio == pytest.approx(1, rel=1e-6)


def test_dropout_before_a_norm_shifts_the_variance_by_its_closed_form() -> None:
    # x ~ N(0, 1) with a half dropped and the rest doubled has variance 1 / (1 − p) = 2; in evaluation it is 1.
    model = nn.Sequential(Dropout(0.5), norms.batch(**SETTINGS | {"momentum": None}).features(1, False))
    draws = torch.Generator().manual_seed(0)
    batches = [torch.randn(5000, 1, generator=draws) for _ in range(8)]
    for batch in batches:
        model(batch)
    with untouched(model):
        found = batch_discrepancy(model, batches)["1"]
    assert found.eval_variance_ratio == pytest.approx(0.5, rel=0.03)
    assert found.log_variance_ratio == pytest.approx(0, abs=0.03)


def test_a_doubled_batch_has_a_log_ratio_of_log_four() -> None:
    norm = norms.batch(**SETTINGS | {"momentum": 1.0}).features(2, True)
    model, [batch] = nn.Sequential(norm), image_batches(1)
    model(batch)
    with untouched(model):
        found = batch_discrepancy(model, [2 * batch])["0"]
    assert found.log_variance_ratio == pytest.approx(math.log(4), rel=1e-4)


def test_only_norms_with_a_running_variance_are_compared() -> None:
    batch_group = norms.batch_group(num_groups=1, **SETTINGS).features(2, True)
    mean_only = norms.mean_only_batch(momentum=0.1, input=False).features(2, True)
    model = nn.Sequential(batch_group, mean_only, nn.GroupNorm(1, 2))
    with untouched(model):
        assert list(batch_discrepancy(model, image_batches())) == ["0.statistics"]
