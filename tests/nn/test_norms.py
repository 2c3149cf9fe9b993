"""What holds for every normalizer, and the lines that a wrong choice gets."""

import copy
import inspect
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from bnexp.errors import ConfigError
from bnexp.nn import norms
from bnexp.ranges import violation

CONFIGS = Path(__file__).parents[2] / "configs" / "norm"
CHOICES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
EVERY = pytest.mark.parametrize("choice", CHOICES)


def defaults(choice):
    node = yaml.safe_load((CONFIGS / f"{choice}.yaml").read_text())
    assert node.pop("_target_") == f"bnexp.nn.norms.{choice}"
    return node


def make(choice, **changes):
    return getattr(norms, choice)(**{**defaults(choice), **changes})


def network(norm, dense=True):
    """A convolution and a linear layer, each normalized; 3×6×6 images to 4 logits."""
    layers = [norm.weight(nn.Conv2d(3, 16, 3, padding=1)), norm.features(16, True), nn.Tanh(), nn.Flatten(2)]
    layers += [nn.AvgPool1d(36), nn.Flatten(), norm.weight(nn.Linear(16, 8)), nn.Linear(8, 4)]
    if dense:
        layers.insert(-1, norm.features(8, False))
    return nn.Sequential(*layers)


def small(choice):
    """The choice with sizes that fit :func:`network` and a batch of 8."""
    fitting = {"ghost_batch": {"ghost_size": 4}, "group": {"num_groups": 4}, "batch_group": {"num_groups": 4}}
    torch.manual_seed(0)
    return network(make(choice, **fitting.get(choice, {})), dense=choice != "instance")


@EVERY
def test_the_yaml_file_has_exactly_the_keywords_of_the_function_and_values_in_range(choice):
    parameters = inspect.signature(getattr(norms, choice), eval_str=True).parameters
    values = defaults(choice)
    assert list(parameters) == list(values)
    for name, parameter in parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default is inspect.Parameter.empty
        assert violation(values[name], parameter.annotation) is None


@EVERY
def test_the_docstring_gives_an_idea_a_formula_and_a_source(choice):
    lines = inspect.getdoc(getattr(norms, choice)).splitlines()
    assert lines[0].endswith(".")
    assert [line.split()[0] for line in lines[2:] if not line.startswith(" ")] == ["Formula:", "Source:"]


def test_every_choice_of_the_science_is_there():
    wanted = "none batch layer group instance weight spectral centered_weight mean_only_batch ghost_batch rms "
    wanted += "noisy_batch batch_group filter_response sync_batch"
    assert sorted(wanted.split()) == CHOICES


@EVERY
def test_it_trains_on_the_meta_device_with_any_momentum(choice):
    changes = {"momentum": None} if "momentum" in defaults(choice) and choice != "sync_batch" else {}
    with torch.device("meta"):
        norm = make(choice, **changes)
        model = nn.Sequential(norm.weight(nn.Conv2d(3, 64, 3)), norm.features(64, True)).train()
        assert model(torch.empty(32, 3, 8, 8)).shape == (32, 64, 6, 6)


@EVERY
def test_a_copy_and_a_reloaded_state_give_the_same_outputs(choice):
    model = small(choice)
    x = torch.randn(8, 3, 6, 6)
    model(x).sum().backward()
    twin = copy.deepcopy(model)
    reloaded = small(choice)
    reloaded.load_state_dict(model.state_dict())
    for other in (twin, reloaded):
        torch.testing.assert_close(other.eval()(x), model.eval()(x), rtol=0, atol=0)


@EVERY
def test_channels_last_gives_the_same_outputs_and_gradients(choice):
    model = small(choice).double()
    twin = copy.deepcopy(model).to(memory_format=torch.channels_last)
    x = torch.randn(8, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    y = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    for one, other in ((model.train(), twin.train()), (model.eval(), twin.eval())):
        torch.manual_seed(1)
        expected = one(x)
        torch.manual_seed(1)
        found = other(y)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    expected.square().sum().backward()
    found.square().sum().backward()
    torch.testing.assert_close(y.grad, x.grad, rtol=1e-10, atol=1e-10)


@EVERY
def test_bfloat16_autocast_stays_near_full_precision_and_keeps_float32_statistics(choice):
    model = small(choice)
    x = torch.randn(8, 3, 6, 6)
    torch.manual_seed(1)
    expected = copy.deepcopy(model)(x)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(x)
        model[1](model[0](x)).square().sum().backward()
    assert found.dtype == torch.bfloat16
    # The noise itself is drawn in bfloat16, so only its distribution is the same.
    if choice != "noisy_batch":
        torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    assert {value.dtype for value in model.state_dict().values()} <= {torch.float32, torch.int64}
    assert all(p.grad.isfinite().all() for p in model[:2].parameters())


@EVERY
def test_at_test_time_an_example_does_not_depend_on_the_rest_of_its_batch(choice):
    model = small(choice).double()
    model(torch.randn(8, 3, 6, 6, dtype=torch.float64))
    model.eval()
    x = torch.randn(5, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(torch.cat([model(one) for one in x.split(1)]), model(x), rtol=1e-10, atol=1e-10)


@EVERY
def test_only_norms_of_features_can_stand_in_front_of_the_network(choice):
    if "input" not in defaults(choice):
        assert isinstance(make(choice).features(3, True), nn.Identity)
    else:
        assert make(choice, input=True).input
        assert not make(choice).input


def test_a_batch_norm_layer_of_5_units_stores_20_numbers_of_which_10_are_trained():
    layer = make("batch").features(5, False)
    trained = sum(p.numel() for p in layer.parameters())
    running = layer.running_mean.numel() + layer.running_var.numel()
    assert (trained, running, trained + running) == (10, 10, 20)


@pytest.mark.parametrize(
    ("choice", "parameters", "buffers"),
    [
        ("none", 0, 0),
        ("batch", 16, 16),
        ("ghost_batch", 16, 16),
        ("noisy_batch", 16, 16),
        ("sync_batch", 16, 16),
        ("batch_group", 16, 4),
        ("mean_only_batch", 8, 8),
        ("layer", 16, 0),
        ("group", 16, 0),
        ("instance", 16, 0),
        ("rms", 8, 0),
        ("filter_response", 24, 0),
    ],
)
def test_numbers_stored_for_8_channels(choice, parameters, buffers):
    changes = {"num_groups": 2} if "num_groups" in defaults(choice) else {}
    layer = make(choice, **changes).features(8, True)
    assert sum(p.numel() for p in layer.parameters()) == parameters
    assert sum(b.numel() for name, b in layer.named_buffers() if "running" in name) == buffers


@pytest.mark.parametrize("choice", ["batch", "layer", "group", "instance", "rms", "ghost_batch", "batch_group"])
def test_without_affine_nothing_is_trained(choice):
    assert not list(make(choice, affine=False).features(8, True).parameters())


@pytest.mark.parametrize("choice", ["group", "batch_group"])
def test_groups_that_do_not_divide_the_channels_get_a_line_with_those_that_do(choice):
    with pytest.raises(ConfigError) as error:
        make(choice, num_groups=3).features(64, True)
    assert str(error.value) == "norm.num_groups=3 does not divide 64 channels; use 1, 2, 4, 8, 16, 32 or 64"
    with pytest.raises(ConfigError, match=r"norm.num_groups=8 does not divide 1 features; use 1$"):
        make(choice).features(1, False)


def test_a_ghost_size_that_does_not_divide_the_batch_gets_a_line_with_those_that_do():
    layer = make("ghost_batch", ghost_size=32).features(4, True)
    with pytest.raises(ConfigError) as error:
        layer(torch.randn(12, 4, 2, 2))
    assert str(error.value) == "norm.ghost_size=32 does not divide a batch of 12; use 1, 2, 3, 4, 6 or 12"


BATCH_NORMS = ["batch", "ghost_batch", "noisy_batch", "sync_batch", "mean_only_batch", "batch_group"]


@pytest.mark.parametrize("choice", BATCH_NORMS)
def test_one_value_per_channel_in_training_gets_a_line(choice):
    changes = {"num_groups": 4} if choice == "batch_group" else {}
    changes |= {"ghost_size": 1} if choice == "ghost_batch" else {}
    size = "norm.ghost_size" if choice == "ghost_batch" else "training.batch_size"
    norm = make(choice, **changes)
    spatial, dense = norm.features(4, True), norm.features(4, False)
    with pytest.raises(ConfigError) as error:
        spatial(torch.randn(1, 4, 1, 1))
    assert str(error.value) == (
        f"norm={choice} needs more than one value per channel in training: a batch of 1 with 1×1 feature maps gives "
        f"one; use a larger {size} or norm=layer"
    )
    with pytest.raises(ConfigError, match=rf"^norm={choice} needs .* a batch of 1 gives one"):
        dense(torch.randn(1, 4))
    assert spatial(torch.randn(1, 4, 2, 1)).shape == (1, 4, 2, 1)
    assert spatial.eval()(torch.randn(1, 4, 1, 1)).shape == (1, 4, 1, 1)
    assert dense.eval()(torch.randn(1, 4)).shape == (1, 4)


@pytest.mark.parametrize("choice", ["instance", "filter_response"])
def test_feature_maps_of_one_position_get_a_line(choice):
    layer = make(choice).features(4, True)
    with pytest.raises(ConfigError, match=rf"^norm={choice} takes its statistics over the positions"):
        layer(torch.randn(8, 4, 1, 1))


def test_dense_layers_that_would_normalize_a_single_value_get_a_line():
    with pytest.raises(ConfigError, match=r"^norm=instance needs images"):
        make("instance").features(8, False)
    with pytest.raises(ConfigError, match=r"^norm.num_groups=8 leaves one value in each group of 8 features"):
        make("group").features(8, False)
    for choice in ("layer", "rms"):
        with pytest.raises(ConfigError, match=rf"^norm={choice} on a dense layer of 1 feature"):
            make(choice).features(1, False)
    with pytest.raises(ConfigError, match=r"^norm=centered_weight needs more than one weight per unit"):
        make("centered_weight").weight(nn.Linear(1, 4))
