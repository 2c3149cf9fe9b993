import inspect
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.nn.utils import parametrizations

from bnexp.errors import ConfigError
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.initializers import delta_orthogonal_, he_normal_, identity_, lecun_normal_, orthogonal_
from bnexp.nn.keras_initializers import constant_, ones_, zeros_
from bnexp.nn.weight_norms import centered_weight_norm, spectral_norm

FILES = sorted((Path(__file__).parents[2] / "configs" / "init").glob("*.yaml"))
HE = partial(he_normal_, negative_slope=None)


def choice(file):
    keywords = yaml.safe_load(file.read_text())
    module, function = keywords.pop("_target_").rsplit(".", 1)
    assert keywords.pop("_partial_") is True
    return partial(getattr(import_module(module), function), **keywords)


def context(seed=0, inputs=None):
    return Context(activation=nn.ReLU(), generator=torch.Generator().manual_seed(seed), inputs=inputs)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.residual = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.shortcut = nn.Identity()

    def forward(self, x):
        return self.shortcut(x) + self.residual(x)


def convnet():
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), Residual(), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(8 * 4 * 4, 10))


def test_every_layer_is_filled_biases_become_zero_and_norms_stay():
    model = convnet()
    model[1].weight.data.fill_(0.5)
    model[1].bias.data.fill_(0.25)
    assert initialize_(model, ones_, context()) == ()
    for layer in (model[0], model[3].residual[0], model[3].residual[2], model[7]):
        assert (layer.weight == 1).all()
        assert (layer.bias == 0).all()
    assert (model[1].weight == 0.5).all()
    assert (model[1].bias == 0.25).all()
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_generator_alone_decides_every_bit(file):
    inputs = torch.randn(32, 3, 6, 6, generator=torch.Generator().manual_seed(7))
    states = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        model = convnet()
        before = torch.get_rng_state()
        initialize_(model, choice(file), context(seed=3, inputs=inputs))
        assert torch.equal(before, torch.get_rng_state())
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_keys_of_each_file_are_the_keywords_of_its_function(file):
    init = choice(file)
    parameters = inspect.signature(init.func).parameters.values()
    keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert keywords == set(init.keywords)
    assert all(p.default is p.empty for p in parameters)
    lines = [line.strip() for line in inspect.getdoc(init.func).splitlines()]
    assert (
        sum(line.startswith("Formula: ") for line in lines) == sum(line.startswith("Source: ") for line in lines) == 1
    )


def test_another_seed_gives_other_weights():
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    initialize_(first, HE, context(seed=0))
    initialize_(second, HE, context(seed=1))
    assert (first.weight != second.weight).any()


def test_the_memory_format_does_not_change_the_numbers():
    plain, channels_last = convnet(), convnet().to(memory_format=torch.channels_last)
    for model in (plain, channels_last):
        initialize_(model, HE, context())
    assert torch.equal(plain[0].weight, channels_last[0].weight)
    assert channels_last[0].weight.is_contiguous(memory_format=torch.channels_last)


def filled(layer, init=HE):
    initialize_(layer, init, context())
    return layer.weight.detach()


def test_weight_norm_starts_with_the_weight_that_the_init_asks_for():
    layer = parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
    torch.testing.assert_close(filled(layer), filled(nn.Conv2d(3, 8, 3)), rtol=1e-6, atol=0)
    assert (layer.bias == 0).all()


def test_spectral_norm_starts_with_the_weight_over_its_largest_singular_value():
    weight = filled(nn.Conv2d(3, 8, 3))
    sigma = torch.linalg.matrix_norm(weight.flatten(1), 2)
    layer = spectral_norm(nn.Conv2d(3, 8, 3), n_power_iterations=1, eps=1e-12)
    torch.testing.assert_close(filled(layer), weight / sigma)


def test_centred_weight_norm_starts_with_the_weight_less_its_mean():
    weight = filled(nn.Linear(6, 4))
    torch.testing.assert_close(filled(centered_weight_norm(nn.Linear(6, 4))), weight - weight.mean(1, keepdim=True))


@pytest.mark.parametrize(
    ("init", "norm"),
    [
        (zeros_, parametrizations.weight_norm),
        (identity_, parametrizations.weight_norm),
        (zeros_, partial(spectral_norm, n_power_iterations=1, eps=1e-12)),
        (partial(constant_, value=0.5), centered_weight_norm),
    ],
)
def test_a_filter_that_a_norm_would_divide_by_zero_is_refused_in_one_line(init, norm):
    with pytest.raises(ConfigError, match=r"\(8, 4\).*norm 0.*use") as error:
        initialize_(norm(nn.Linear(4, 8)), init, context())
    assert "\n" not in str(error.value)


def test_a_layer_that_an_init_cannot_serve_gets_the_default_weight_and_a_note():
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 4, 3))
    (note,) = initialize_(model, partial(delta_orthogonal_, gain=1.0), context())
    assert note == "1: delta_orthogonal needs at least 8 outputs and not 4; its weight is PyTorch's default instead"
    bound = (8 * 9) ** -0.5
    assert bound * 0.95 < model[1].weight.abs().max() <= bound
    assert (model[1].bias == 0).all()


def test_identity_passes_each_channel_of_a_depthwise_convolution():
    layer = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    initialize_(layer, identity_, context())
    x = torch.randn(2, 6, 5, 5)
    assert torch.equal(layer(x), x)


def test_each_group_of_a_grouped_convolution_is_orthogonal():
    matrices = filled(nn.Conv2d(4, 6, 3, groups=2), partial(orthogonal_, gain=1.0)).view(2, 3, 18)
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3).expand(2, 3, 3))


def test_a_depthwise_kernel_has_the_fan_in_of_one_channel():
    weight = filled(nn.Conv2d(10_000, 10_000, 3, groups=10_000), lecun_normal_)
    assert weight.std() == pytest.approx(1 / 3, rel=0.01)
