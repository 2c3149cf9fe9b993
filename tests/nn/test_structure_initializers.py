import copy
import math
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from bnexp.errors import ConfigError
from bnexp.nn.initialize import Context, initialize_
from bnexp.nn.initializers import he_normal_
from bnexp.nn.noise import Dropout
from bnexp.nn.structure_initializers import dropout_adjusted_, fixup_

HE = partial(he_normal_, negative_slope=None)


def context(activation=nn.ReLU, seed=0):
    return Context(activation=activation(), generator=torch.Generator().manual_seed(seed))


def mlp(activation=nn.ReLU, dropout=0.4, depth=20, width=512, noise=nn.Dropout):
    hidden = [(nn.Linear(width, width), activation(), noise(dropout)) for _ in range(depth)]
    return nn.Sequential(*(layer for layers in hidden for layer in layers), nn.Linear(width, 10))


def variance_ratios(model, seed):
    """Var(z_l)/Var(z_1) for l = 2 … of a network in training, on normal inputs."""
    torch.manual_seed(seed)
    x, variances = torch.randn(256, 512), []
    for module in model.train():
        x = module(x)
        if isinstance(module, nn.Linear):
            variances.append(float(x.detach().var()))
    return [variance / variances[0] for variance in variances[1:]]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_forward_correction_keeps_the_variance_through_20_layers(activation, dropout):
    model = mlp(activation, dropout)
    initialize_(model, partial(dropout_adjusted_, backward=False), context(activation))
    # Hendrycks & Gimpel 2016, figure 1
    assert variance_ratios(model, seed=99)[-2] == pytest.approx(1, rel=0.3)


def test_he_explodes_under_dropout_where_the_correction_does_not():
    model = mlp()
    initialize_(model, HE, context())
    assert variance_ratios(model, seed=99)[-2] == pytest.approx((1 / 0.6) ** 19, rel=0.3)


def lengths(layer):
    return layer.weight.detach().flatten(1).norm(dim=1)


@pytest.mark.parametrize("noise", [nn.Dropout, Dropout])
@pytest.mark.parametrize(
    ("activation", "power", "slope_power"), [(nn.ReLU, 0.5, 0.5), (nn.ELU, 0.64494, 0.66810), (nn.Identity, 1, 1)]
)
def test_lengths_are_those_of_section_2_2_and_of_the_authors_code_at_both_ends(activation, power, slope_power, noise):
    model = mlp(activation, dropout=0.3, depth=2, width=64, noise=noise)
    initialize_(model, partial(dropout_adjusted_, backward=True), context(activation))
    p = 0.7
    variances = [1 + slope_power * p, power / p + slope_power * p, power / p + 1]
    for layer, variance in zip((model[0], model[3], model[6]), variances, strict=True):
        torch.testing.assert_close(lengths(layer), torch.full((len(layer.weight),), variance**-0.5), rtol=1e-4, atol=0)
        assert (layer.bias == 0).all()


def test_only_layers_behind_dropout_are_corrected_for_it():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())
    model.append(nn.Linear(8, 10))
    initialize_(model, partial(dropout_adjusted_, backward=False), context())
    for layer, variance in ((model[0], 1.0), (model[2], 0.5), (model[6], 0.5 / 0.5)):
        torch.testing.assert_close(lengths(layer), torch.full((len(layer.weight),), variance**-0.5))


class Block(nn.Module):
    def __init__(self, activation, norm):
        super().__init__()
        layers = [nn.Conv2d(4, 4, 3, padding=1), norm(4), activation(), nn.Conv2d(4, 4, 3, padding=1), norm(4)]
        self.residual = nn.Sequential(*layers)
        self.shortcut = nn.Identity()
        self.activation = activation()

    def forward(self, x):
        return self.activation(self.shortcut(x) + self.residual(x))


def resnet(num_blocks=9, activation=nn.ReLU, norm=nn.Identity):
    blocks = [Block(activation, norm) for _ in range(num_blocks)]
    return nn.Sequential(nn.Conv2d(3, 4, 3), activation(), *blocks, nn.Flatten(), nn.Linear(64, 10))


def test_under_fixup_blocks_start_as_identities_and_the_loss_at_ln_10():
    model = resnet()
    assert initialize_(model, fixup_, context()) == ()
    x = torch.randn(5, 3, 6, 6)
    stem = F.relu(F.conv2d(x, model[0].weight))
    torch.testing.assert_close(model[:-2](x), stem)
    assert F.cross_entropy(model(x), torch.arange(5)).item() == pytest.approx(math.log(10))


def test_fixup_scales_the_first_layer_of_each_branch_of_two_by_the_root_of_their_number():
    plain, model = resnet(), resnet()
    initialize_(plain, HE, context())
    initialize_(model, fixup_, context())
    torch.testing.assert_close(model[0].weight, plain[0].weight)
    for block, reference in zip(model[2:11], plain[2:11], strict=True):
        torch.testing.assert_close(block.residual[0].weight, reference.residual[0].weight * 9**-0.5)
        assert (block.residual[3].weight == 0).all()


def test_fixup_scales_a_branch_of_three_layers_by_the_fourth_root():
    plain, model = resnet(4), resnet(4)
    for net in (plain, model):
        for block in net[2:6]:
            block.residual.append(nn.Conv2d(4, 4, 1))
    initialize_(plain, HE, context())
    initialize_(model, fixup_, context())
    for i in (0, 3):
        torch.testing.assert_close(model[3].residual[i].weight, plain[3].residual[i].weight * 4 ** (-1 / 4))
    assert (model[3].residual[5].weight == 0).all()


def test_fixup_adds_a_bias_before_each_layer_and_activation_and_a_multiplier_per_branch():
    model = resnet(2)
    initialize_(model, fixup_, context())
    names = [name for name, _ in model.named_parameters()]
    assert sum(name.endswith("scalar_bias") for name in names) == 2 + 2 * 4 + 1
    assert sum(name.endswith("multiplier") for name in names) == 2
    x = torch.randn(5, 3, 6, 6)
    with torch.no_grad():
        block = model[2]
        block.residual[3].weight.normal_(generator=torch.Generator().manual_seed(0))
        for module, value in ((block.residual[0], 0.1), (block.residual[2], 0.2), (block.residual[3], 0.3)):
            module.scalar_bias.fill_(value)
        block.activation.scalar_bias.fill_(-0.4)
        block.residual.multiplier.fill_(2.0)
        x = torch.randn(5, 4, 6, 6)
        first, second = block.residual[0], block.residual[3]
        expected = F.conv2d(x + 0.1, first.weight, padding=1)
        expected = F.conv2d(F.relu(expected + 0.2) + 0.3, second.weight, padding=1)
        torch.testing.assert_close(block(x), F.relu(x + 2 * expected - 0.4))


def test_every_parameter_of_a_fixup_network_trains():
    model = resnet(2)
    initialize_(model, fixup_, context())
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, labels = torch.randn(20, 3, 6, 6), torch.arange(20) % 10
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
    assert all((value != before[name]).any() for name, value in model.named_parameters())


def test_a_fixup_network_can_be_copied_pickled_and_restored():
    model = resnet(2)
    initialize_(model, fixup_, context())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05)
    x = torch.randn(5, 3, 6, 6)
    fresh = resnet(2)
    initialize_(fresh, fixup_, context(seed=1))
    fresh.load_state_dict(model.state_dict())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fresh):
        assert torch.equal(other(x), model(x))


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, partial(nn.GroupNorm, 2), nn.InstanceNorm2d])
def test_fixup_refuses_norms(norm):
    with pytest.raises(ConfigError, match=r"residual branches hold \w+Norm\w*; use norm=none"):
        initialize_(resnet(norm=norm), fixup_, context())


def test_fixup_refuses_a_reparametrized_weight():
    model = resnet()
    parametrizations.weight_norm(model[2].residual[0])
    with pytest.raises(ConfigError, match="use norm=none"):
        initialize_(model, fixup_, context())


def test_fixup_refuses_a_plain_network():
    with pytest.raises(ConfigError, match="this model has none; use model=resnet"):
        initialize_(nn.Sequential(nn.Linear(2, 2)), fixup_, context())
