"""The digits of a norm whose inputs lie far from 0, in both memory formats, against the same norm in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.nn.test_norms import CHOICES, defaults, make
from torch import nn
from torch.nn import functional as F

from bnexp.nn.foreign_norms import keep_digits_

EVERY = [choice for choice in CHOICES if "input" in defaults(choice)]
WITHOUT_NOISE = {"noisy_batch": {"max_shift": 0, "max_scale": 1, "jitter": 0}}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def images(shape, ratio, memory_format, seed=0):
    """Values whose mean is ``ratio`` standard deviations from 0; each channel's a little elsewhere."""
    draws = torch.Generator().manual_seed(seed)
    offsets = ratio * (1 + 0.01 * torch.rand(shape[1], 1, 1, generator=draws))
    return (torch.randn(shape, generator=draws) + offsets).contiguous(memory_format=memory_format)


def errors(choice, shape, ratio, memory_format, *, training):
    """Return the largest error of the outputs, and of gradients and running statistics relative to the largest."""
    torch.manual_seed(0)
    norm = make(choice, **WITHOUT_NOISE.get(choice, {})).features(shape[1], True).train(training)
    for parameter in norm.parameters():
        nn.init.normal_(parameter, 1, 0.3)
    x = images(shape, ratio, memory_format)
    for name, buffer in norm.named_buffers():
        if name.endswith("running_mean"):
            buffer.fill_(ratio)
    exact, exact_x = copy.deepcopy(norm).double(), x.double().contiguous().requires_grad_()
    x.requires_grad_()
    y, exact_y = norm(x), exact(exact_x)
    direction = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    y.backward(direction.contiguous(memory_format=memory_format))
    exact_y.backward(direction.double())

    def relative(pairs):
        largest = [(float((one - other).abs().max()), float(other.abs().max())) for one, other in pairs]
        return max([error / max(size, 1e-30) for error, size in largest], default=0.0)

    parameters = zip(norm.parameters(), exact.parameters(), strict=True)
    gradients = [(x.grad, exact_x.grad), *((one.grad, other.grad) for one, other in parameters)]
    buffers = zip(norm.buffers(), exact.buffers(), strict=True)
    return float((y - exact_y).detach().abs().max()), relative(gradients), relative(buffers)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("ratio", [0, 1, 30, 300, 1000])
@pytest.mark.parametrize("choice", EVERY)
def test_outputs_gradients_and_statistics_keep_the_digits_that_float32_has(choice, ratio, training, memory_format):
    """The mean itself is rounded to 2⁻²⁴ of it: an error of 6e-8 · ratio standard deviations that nothing can avoid."""
    found = errors(choice, (32, 16, 8, 8), ratio, FORMATS[memory_format], training=training)
    allowed = (2e-5 + 1e-6 * ratio, 5e-6 + 4e-7 * ratio, 1e-5)
    assert all(error <= most for error, most in zip(found, allowed, strict=True)), (found, allowed)


@pytest.mark.parametrize("ratio", [1, 300])
@pytest.mark.parametrize("choice", ["batch", "sync_batch", "batch_group", "mean_only_batch"])
def test_a_large_batch_loses_no_more(choice, ratio):
    found = errors(choice, (80, 8, 64, 64), ratio, torch.channels_last, training=True)
    assert found[0] <= 3e-5 + 1e-6 * ratio
    assert found[2] <= 1e-5


@pytest.mark.parametrize("ratio", [0, 1000])
@pytest.mark.parametrize("shape", [(8, 16, 1, 4), (1, 16, 4, 4), (8, 16, 3, 5)])
@pytest.mark.parametrize("choice", [choice for choice in EVERY if choice != "ghost_batch"])
def test_any_shape_of_image_keeps_its_digits(choice, shape, ratio):
    output, gradient, _ = errors(choice, shape, ratio, torch.channels_last, training=True)
    assert output <= 2e-5 + 1e-6 * ratio
    assert gradient <= 5e-6 + 4e-7 * ratio


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_are_those_of_the_images_however_far_they_lie(affine, momentum):
    """By hand: new = (1 − m) old + m batch with the unbiased variance; the first batch alone where m is null."""
    norm = make("batch", affine=affine, momentum=momentum).features(16, True)
    x = images((32, 16, 8, 8), 500, torch.channels_last)
    norm(x)
    var, mean = torch.var_mean(x.double(), (0, 2, 3))
    share = 0.1 if momentum else 1.0
    torch.testing.assert_close(norm.running_mean.double(), share * mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(norm.running_var.double(), 1 - share + share * var, rtol=1e-5, atol=0)
    assert int(norm.num_batches_tracked) == 1


@pytest.mark.parametrize("ratio", [0, 100])
@pytest.mark.parametrize("choice", ["batch", "layer", "group"])
def test_first_and_second_derivatives_are_right_in_channels_last(choice, ratio):
    norm = make(choice, **({"num_groups": 2} if choice == "group" else {})).features(4, True).double()
    norm.track_running_stats = False
    x = images((3, 4, 2, 3), ratio, torch.channels_last).double().requires_grad_()
    assert not x.is_contiguous()
    assert torch.autograd.gradcheck(norm, (x,), eps=1e-5, atol=1e-5)
    assert torch.autograd.gradgradcheck(norm, (x,), eps=1e-4, atol=1e-4)


def test_images_near_0_get_the_bits_of_torch():
    x = images((32, 16, 8, 8), 1, torch.channels_last)
    assert torch.equal(make("group").features(16, True)(x), F.group_norm(x, 8))
    assert torch.equal(make("batch").features(16, True)(x), F.batch_norm(x, None, None, training=True))


def test_a_constant_becomes_the_bias():
    x = torch.full((4, 8, 4, 4), 5.0).contiguous(memory_format=torch.channels_last)
    for choice in ("batch", "group", "layer"):
        assert torch.equal(make(choice).features(8, True)(x), torch.zeros_like(x))


@pytest.mark.parametrize(
    "theirs",
    [nn.GroupNorm(4, 16), nn.GroupNorm(16, 16, affine=False), nn.InstanceNorm2d(16), nn.BatchNorm2d(16)],
    ids=str,
)
def test_norms_of_torch_in_somebodys_model_keep_their_digits_too(theirs):
    model = nn.Sequential(copy.deepcopy(theirs))
    keep_digits_(model)
    x = images((8, 16, 8, 8), 1000, torch.channels_last)
    exact = copy.deepcopy(theirs).double()
    torch.testing.assert_close(model(x).double(), exact(x.double().contiguous()), rtol=0, atol=1e-3)
    assert model.state_dict().keys() == nn.Sequential(theirs).state_dict().keys()
    assert isinstance(model[0], type(theirs))
