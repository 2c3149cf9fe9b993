"""Dropout and Gaussian noise: unbiased, as strong as asked for, drawn from generators of their own."""

import math

import pytest
import torch
from torch import nn

from bnexp.errors import ConfigError
from bnexp.nn import norms
from bnexp.nn.activation import marked
from bnexp.nn.noise import Dropout, GaussianNoise, draw_noise_from_


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


OFF = {"input": 0.0, "weight": 0.0, "activation": 0.0, "gradient": 0.0}
PLACES = pytest.mark.parametrize("place", OFF)


def tanh_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(300, 200), nn.BatchNorm1d(200), marked(nn.Tanh)(), nn.Linear(200, 2))


def noise(model, seed=0, **strengths):
    return GaussianNoise(model, seed, **OFF | strengths)


def drawn(place, model, gaussian, shape=(1000, 300)):
    """What the noise adds at a place, for a batch of zeros, and to gradients of zero."""
    if place == "input":
        return gaussian.on_input(torch.zeros(shape))
    if place == "weight":
        before = model[0].weight.detach().clone()
        with gaussian.on_weights():
            return model[0].weight.detach() - before
    if place == "activation":
        hidden = model[:2](torch.zeros(shape)).detach()
        return model[2](hidden) - hidden.tanh()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    gaussian.on_gradients_()
    return model[0].weight.grad


@PLACES
@pytest.mark.parametrize("std", [0.01, 0.5])
def test_noise_is_normal_with_mean_0_and_the_standard_deviation_that_was_asked_for(place, std):
    model = tanh_network()
    values = drawn(place, model, noise(model, **{place: std})).double() / std
    num_values = values.numel()
    assert num_values >= 60_000
    assert values.mean().item() == pytest.approx(0, abs=5 / math.sqrt(num_values))
    assert values.std().item() == pytest.approx(1, abs=5 / math.sqrt(2 * num_values))
    assert (values**4).mean().item() == pytest.approx(3, abs=5 * math.sqrt(96 / num_values))


@PLACES
def test_one_noise_more_changes_no_draw_of_another(place):
    shared = Dropout(0.5)
    alone = tanh_network()
    expected = drawn(place, alone, noise(alone, **{place: 0.1}))
    together = nn.Sequential(*tanh_network(), shared)
    draw_noise_from_(together, seeded())
    gaussian = noise(together, **dict.fromkeys(OFF, 0.1))
    for other in OFF:
        if other != place:
            drawn(other, together, gaussian)
    shared(torch.ones(5))
    assert torch.equal(drawn(place, together, gaussian), expected)


@PLACES
def test_the_runs_seed_alone_decides_and_each_draw_is_new(place):
    found = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        torch.manual_seed(len(name))
        model = tanh_network()
        gaussian = noise(model, seed, **{place: 0.1})
        before = torch.get_rng_state()
        found[name] = [drawn(place, model, gaussian).clone() for _ in range(2)]
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.stack(found["first"]), torch.stack(found["again"]))
    assert not torch.equal(found["first"][0], found["first"][1])
    assert not torch.equal(found["first"][0], found["other"][0])


def test_without_strength_nothing_is_touched_attached_or_drawn():
    model, inputs = tanh_network(), torch.zeros(3, 300)
    gaussian = noise(model)
    weight = model[0].weight
    version = weight._version
    with gaussian.on_weights():
        pass
    model[0].weight.grad = gradient = torch.zeros_like(weight)
    gaussian.on_gradients_()
    assert gaussian.on_input(inputs) is inputs
    assert (weight._version, gradient._version) == (version, 0)
    assert gaussian.generators == {}
    assert all(not module._forward_hooks for module in model.modules())


def test_weights_are_noisy_within_and_the_same_bits_thereafter_and_biases_and_norms_never_are():
    model = tanh_network()
    clean = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with noise(model, weight=0.1).on_weights():
        changed = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, clean[name])}
    assert changed == {"0.weight", "3.weight"}
    assert all(torch.equal(parameter, clean[name]) for name, parameter in model.named_parameters())


def test_the_gradient_is_taken_at_the_noisy_weights():
    layer = nn.Linear(3, 1, bias=False).double()
    x = torch.randn(5, 3, dtype=torch.float64, generator=seeded(1))
    with noise(layer, weight=0.5).on_weights():
        noisy = layer.weight.detach().clone()
        (0.5 * layer(x) ** 2).sum().backward()
    torch.testing.assert_close(layer.weight.grad, noisy @ x.T @ x)  # of ½ ‖x wᵀ‖²


def test_frozen_weights_get_no_noise():
    model = tanh_network()
    model[0].weight.requires_grad_(False)
    clean = model[0].weight.clone()
    with noise(model, weight=0.1).on_weights():
        assert torch.equal(model[0].weight, clean)


def test_activations_are_noisy_in_training_alone():
    model, x = tanh_network(), torch.randn(4, 300)
    model.eval()
    clean = model(x)
    noise(model, activation=0.1)
    assert torch.equal(model(x), clean)
    assert not torch.equal(model.train()(x), model(x))


def test_a_gradient_that_is_not_there_stays_so():
    model = tanh_network()
    model[3].weight.grad = torch.zeros(2, 200)
    noise(model, gradient=0.1).on_gradients_()
    assert model[3].weight.grad.std() > 0.09
    assert all(parameter.grad is None for name, parameter in model.named_parameters() if name != "3.weight")


def test_activation_noise_on_a_model_without_activation_functions_is_refused():
    with pytest.raises(ConfigError, match=r"noise.activation=0.1: this model has no activation function; use"):
        noise(nn.Linear(2, 2), activation=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_noisy_images_keep_their_dtype_and_memory_format(dtype):
    x = torch.zeros(2, 3, 4, 5, dtype=dtype).to(memory_format=torch.channels_last)
    y = noise(tanh_network(), input=0.1).on_input(x)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)
