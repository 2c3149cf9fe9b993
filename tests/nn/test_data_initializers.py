from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils import parametrizations

from bnexp.errors import ConfigError
from bnexp.nn.data_initializers import data_dependent_, lsuv_
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.noise import Dropout
from bnexp.nn.weight_norms import centered_weight_norm, spectral_norm

LSUV = partial(lsuv_, tolerance=0.1, max_tries=10)
STANDARDIZE = partial(data_dependent_, balance_steps=0)
BALANCE = partial(data_dependent_, balance_steps=10)


def context(activation, inputs):
    return Context(activation=activation(), generator=torch.Generator().manual_seed(0), inputs=inputs)


def images(count=128):
    # Inputs as they come: correlated between channels and neighbours, with a mean.
    noise = torch.randn(count, 2, 9, 9, generator=torch.Generator().manual_seed(1))
    return nn.functional.avg_pool2d(noise, 2, stride=1) * torch.tensor([3.0, 0.5]).view(2, 1, 1) + 0.3


def convnet(activation, norm=lambda layer: layer):
    layers = [norm(nn.Conv2d(2, 12, 3)), activation(), norm(nn.Conv2d(12, 16, 3)), activation(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), norm(nn.Linear(64, 32)), activation(), norm(nn.Linear(32, 10))]
    return nn.Sequential(*layers)


def outputs_of_layers(model, inputs):
    outputs = []
    handles = [
        module.register_forward_hook(lambda module, args, output: outputs.append(output.detach()))
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    model(inputs)
    for handle in handles:
        handle.remove()
    return outputs


@pytest.mark.parametrize("norm", [lambda layer: layer, parametrizations.weight_norm, centered_weight_norm])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_lsuv_gives_every_layer_unit_variance(activation, norm):
    model = convnet(activation, norm)
    assert initialize_(model, LSUV, context(activation, images())) == ()
    for output in outputs_of_layers(model, images()):
        assert abs(output.std() - 1) <= 0.1


def test_lsuv_only_scales_orthonormal_matrices():
    model = convnet(nn.ReLU)
    initialize_(model, LSUV, context(nn.ReLU, images()))
    for layer in (model[0], model[2], model[6], model[8]):
        singular = torch.linalg.svdvals(layer.weight.detach().flatten(1))
        torch.testing.assert_close(singular, singular[:1].expand_as(singular))
        assert (layer.bias == 0).all()


def test_a_wide_tolerance_leaves_lsuv_orthonormal():
    model = convnet(nn.ReLU)
    initialize_(model, partial(lsuv_, tolerance=100.0, max_tries=10), context(nn.ReLU, images()))
    singular = torch.linalg.svdvals(model[0].weight.detach().flatten(1))
    torch.testing.assert_close(singular, torch.ones_like(singular))


def test_lsuv_names_a_layer_whose_output_does_not_vary():
    (note,) = initialize_(nn.Linear(3, 4), LSUV, context(nn.ReLU, torch.zeros(8, 3)))
    assert "standard deviation of 0" in note


@pytest.mark.parametrize("norm", [lambda layer: layer, parametrizations.weight_norm, centered_weight_norm])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_data_dependent_gives_every_channel_mean_0_and_standard_deviation_1(activation, norm):
    model = convnet(activation, norm)
    assert initialize_(model, STANDARDIZE, context(activation, images())) == ()
    for output in outputs_of_layers(model, images()):
        std, mean = torch.std_mean(output.transpose(0, 1).flatten(1), dim=1, correction=0)
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-4)
        torch.testing.assert_close(std, torch.ones_like(std), rtol=1e-3, atol=0)


def change_rates(model, inputs, directions=8):
    """√(E g²/mean W²) from the gradients of single samples, as the paper writes it."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def weighted(parameters, x, direction):
        return (functional_call(model, parameters, x[None])[0] * direction).sum()

    stream = torch.Generator().manual_seed(9)
    powers = dict.fromkeys((name for name in parameters if name.endswith("weight")), 0.0)
    for _ in range(directions):
        direction = torch.randn(len(inputs), 10, generator=stream)
        gradients = vmap(grad(weighted), (None, 0, 0))(parameters, inputs, direction)
        for name in powers:
            powers[name] += float(gradients[name].square().mean() / parameters[name].square().mean())
    return torch.tensor(list(powers.values())).sqrt()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_balancing_makes_all_layers_change_at_the_same_rate(activation):
    spreads = {}
    for init in (STANDARDIZE, BALANCE):
        model = convnet(activation)
        initialize_(model, init, context(activation, images()))
        rates = change_rates(model, images())
        spreads[init] = float(rates.max() / rates.min())
    assert spreads[STANDARDIZE] > 2
    assert spreads[BALANCE] < 1.4


def test_balancing_keeps_the_function_of_a_positively_homogeneous_network():
    found = []
    for init in (STANDARDIZE, BALANCE):
        model = convnet(nn.ReLU)
        assert initialize_(model, init, context(nn.ReLU, images())) == ()
        found.append((model(images()), float(model[0].weight.detach().norm())))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-3, atol=1e-4)
    assert found[0][1] != pytest.approx(found[1][1], rel=0.05)


def test_what_data_dependent_cannot_do_is_said():
    inputs = torch.randn(64, 3) * torch.tensor([1.0, 1.0, 0.0])
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2))
    notes = initialize_(model, STANDARDIZE, context(nn.ReLU, inputs))
    assert notes == ("0: without a bias its channels keep their means",)
    (note,) = initialize_(nn.Linear(3, 4), STANDARDIZE, context(nn.ReLU, torch.zeros(8, 3)))
    assert note == ": 4 of its 4 channels do not vary and keep their weights"


def noisy_convnet():
    first = [nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), Dropout(0.3)]
    model = nn.Sequential(
        *first, nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, 10)
    )
    model[3].generator = torch.Generator().manual_seed(4)
    return model


@pytest.mark.parametrize("init", [LSUV, BALANCE])
def test_buffers_modes_and_random_streams_are_as_they_were(init):
    model = noisy_convnet()
    model.train()
    model[1].eval()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    modes = [module.training for module in model.modules()]
    stream, global_stream = model[3].generator, torch.get_rng_state()
    before = stream.get_state()
    initialize_(model, init, context(nn.ReLU, images()))
    assert all(torch.equal(buffers[name], buffer) for name, buffer in model.named_buffers())
    assert modes == [module.training for module in model.modules()]
    assert model[3].generator is stream
    assert torch.equal(stream.get_state(), before)
    assert torch.equal(torch.get_rng_state(), global_stream)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("init", [LSUV, BALANCE])
def test_the_streams_of_a_networks_noise_do_not_change_the_weights(init):
    weights = []
    for noise_seed in (1, 2):
        model = noisy_convnet()
        model[3].generator.manual_seed(noise_seed)
        initialize_(model, init, context(nn.ReLU, images()))
        weights.append(model[8].weight)
    assert torch.equal(*weights)


def test_layers_are_measured_in_training_mode():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 8)).eval()
    inputs = torch.randn(256, 3) * 50
    initialize_(model, LSUV, context(nn.ReLU, inputs))
    assert float(model.train()(inputs).detach().std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("init", [LSUV, BALANCE])
def test_a_norm_that_fixes_the_scale_is_refused(init):
    model = convnet(nn.ReLU, partial(spectral_norm, n_power_iterations=1, eps=1e-12))
    with pytest.raises(ConfigError, match=r"norm=spectral.*use another init, or norm=none"):
        initialize_(model, init, context(nn.ReLU, images()))


def test_a_batch_is_needed():
    with pytest.raises(ValueError, match=r"Context\.inputs"):
        initialize_(nn.Linear(2, 2), LSUV, context(nn.ReLU, None))
