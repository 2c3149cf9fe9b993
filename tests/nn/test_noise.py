"""Dropout: unbiased, drawn from a generator of its own, and put in the place of PyTorch's."""

import math

import pytest
import torch
from torch import nn

from bnexp.nn import norms
from bnexp.nn.noise import Dropout, draw_noise_from_


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def dropout(p, seed=0):
    layer = Dropout(p)
    layer.generator = seeded(seed)
    return layer


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_mean_output_in_training_is_the_output_in_evaluation(p):
    layer = dropout(p)
    x = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    num_draws = 40_000
    mean = layer(x.expand(num_draws, 3)).mean(0)
    standard_errors = x.abs() * math.sqrt(p / (1 - p) / num_draws)  # of a mean of x · Bernoulli(1 − p) / (1 − p)
    assert ((mean - layer.eval()(x)).abs() < 5 * standard_errors).all()


def test_p_is_the_probability_to_drop_and_what_is_kept_is_scaled_up():
    y = dropout(0.8)(torch.full((100_000,), 3.0, dtype=torch.float64))
    kept = y != 0
    assert kept.double().mean().item() == pytest.approx(0.2, abs=0.0064)  # 5 standard deviations
    torch.testing.assert_close(y[kept], torch.full_like(y[kept], 3 / 0.2))


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False)])
def test_without_noise_the_input_passes_and_nothing_is_drawn(p, training):
    layer = dropout(p).train(training)
    before = layer.generator.get_state()
    x = torch.randn(5)
    assert torch.equal(layer(x), x)
    assert torch.equal(layer.generator.get_state(), before)


def test_the_gradient_goes_where_the_values_went():
    x = torch.rand(1000, dtype=torch.float64) + 1
    x.requires_grad_()
    y = dropout(0.3)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y / x).detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_dtype_and_memory_format_stay(dtype, memory_format):
    x = torch.ones(2, 3, 4, 5, dtype=dtype).to(memory_format=memory_format)
    y = dropout(0.5)(x)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=memory_format)


def network():
    noisy = norms.noisy_batch(
        max_shift=0.5, max_scale=1.25, jitter=0.1, eps=1e-5, momentum=0.1, affine=True, input=False
    )
    inner = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2), noisy.features(8, False))
    return nn.Sequential(inner, nn.Dropout(0.6), nn.ReLU(), nn.Sequential(nn.Sequential(nn.Dropout(0.0))))


def test_every_dropout_at_any_depth_is_replaced_with_its_own_probability():
    model = network()
    draw_noise_from_(model, seeded())
    assert [module.p for module in model.modules() if isinstance(module, Dropout)] == [0.2, 0.6, 0.0]
    assert not any(isinstance(module, nn.Dropout) for module in model.modules())
    assert repr(model[1]) == "Dropout(p=0.6)"


def test_all_noise_of_a_network_comes_from_one_generator_and_none_from_pytorchs_own():
    torch.manual_seed(0)
    model, x = network(), torch.randn(16, 8)
    draw_noise_from_(model, first := seeded(3))
    before = torch.get_rng_state()
    outputs = [model(x), model(x)]
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(*outputs)
    draw_noise_from_(model, again := seeded(3))
    torch.manual_seed(99)
    assert torch.equal(model(x), outputs[0])
    assert torch.equal(model(x), outputs[1])
    assert torch.equal(first.get_state(), again.get_state())
    draw_noise_from_(model, seeded(4))
    assert not torch.equal(model(x), outputs[0])


def test_the_network_stays_in_evaluation_where_it_was_in_it():
    model = network().eval()
    draw_noise_from_(model, seeded())
    assert not any(module.training for module in model.modules())


def test_nothing_but_noise_is_changed():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4))
    modules = list(model.modules())
    draw_noise_from_(model, seeded())
    assert all(one is other for one, other in zip(model.modules(), modules, strict=True))
