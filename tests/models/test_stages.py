"""A stage computes its ReLU behind the pool: the same numbers, bit by bit, as the modules one after the other."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnexp.models.layers import Recipe
from bnexp.models.stages import conv_stages
from bnexp.nn import norms

NORMS = {
    "none": norms.none(),
    "batch": norms.batch(eps=1e-5, momentum=0.1, affine=True, input=False),
}


def stage(image_shape=(3, 9, 8), norm="batch", activation=nn.ReLU, position="before", dropout_position="output"):
    torch.manual_seed(0)
    recipe = Recipe(activation, NORMS[norm], position, 0.5, dropout_position)
    return conv_stages(image_shape, [(2, 16)], recipe)[0]


def one_after_the_other(module):
    return nn.Sequential(*deepcopy(module))


def sizes_rectified(monkeypatch, module, x):
    """Return the sides of what ReLU receives, layer by layer."""
    found = []
    relu = F.relu

    def note(values, inplace=False):
        found.append(tuple(values.shape[2:]))
        return relu(values, inplace)

    with monkeypatch.context() as patch:
        patch.setattr(F, "relu", note)
        module(x)
    return found


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("image_shape", [(3, 9, 8), (1, 1, 7), (2, 32, 32)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bf16", [False, True])
def test_outputs_and_gradients_are_bit_equal_to_the_modules_in_turn(norm, image_shape, layout, bf16):
    fast = stage(image_shape, norm).to(memory_format=layout)
    plain = one_after_the_other(fast)
    # Whole numbers tie often within a window, at positive and at negative values.
    x = torch.randint(-2, 3, (8, *image_shape), generator=torch.Generator().manual_seed(1)).float()
    x = x.to(memory_format=layout)
    inputs = [x.clone(memory_format=torch.preserve_format).requires_grad_() for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = [module(own) for module, own in zip((fast, plain), inputs, strict=True)]
    weight = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(2))
    for output in outputs:
        (output.float() * weight).sum().backward()
    assert torch.equal(*outputs)
    assert torch.equal(inputs[0].grad, inputs[1].grad)
    for own, other in zip(fast.parameters(), plain.parameters(), strict=True):
        assert torch.equal(own.grad, other.grad)


def test_ties_zeros_and_not_a_number_send_their_gradient_where_they_did():
    fast = stage((1, 2, 2), "none")
    windows = torch.tensor([[3.0, 3, 1, 3], [0, 0, 0, 0], [-1, -1, -2, -1], [-0.0, 0, -1, 0], [1, torch.nan, 2, 3]])
    fast[1].layer = nn.Identity()
    fast[0] = nn.Identity()
    gradients = []
    for module in (fast, one_after_the_other(fast)):
        x = windows.view(5, 1, 2, 2).clone().requires_grad_()
        module(x).sum().backward()
        gradients.append(x.grad.view(5, 4))
    assert torch.equal(*gradients)
    assert torch.equal(gradients[0][:4], torch.tensor([[1.0, 0, 0, 0], [0] * 4, [0] * 4, [0] * 4]))


def test_only_the_last_relu_moves_and_it_meets_a_quarter_of_the_values(monkeypatch):
    assert sizes_rectified(monkeypatch, stage(), torch.randn(4, 3, 9, 8)) == [(9, 8), (4, 4)]


@pytest.mark.parametrize("norm_position", ["before", "after"])
@pytest.mark.parametrize("dropout_position", ["output", "after_norm"])
def test_a_relu_with_something_between_it_and_the_pool_stays(monkeypatch, norm_position, dropout_position):
    module = stage(position=norm_position, dropout_position=dropout_position)
    moves = norm_position == "before" and dropout_position == "output"
    assert sizes_rectified(monkeypatch, module, torch.randn(4, 3, 9, 8))[1] == ((4, 4) if moves else (9, 8))


@pytest.mark.parametrize("where", ["function", "hidden", "pool"])
@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"])
def test_where_a_hook_listens_each_module_has_its_turn(monkeypatch, where, kind):
    module = stage()
    heard = {"function": module[1].activation, "hidden": module[1], "pool": module[2]}[where]
    handle = getattr(heard, f"register_{kind}")(lambda *_: None)
    x = torch.randn(4, 3, 9, 8)
    assert sizes_rectified(monkeypatch, module, x) == [(9, 8), (9, 8)]
    handle.remove()
    assert sizes_rectified(monkeypatch, module, x) == [(9, 8), (4, 4)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_second_derivatives_are_those_of_the_modules_in_turn(layout):
    fast = stage().double().to(memory_format=layout)
    plain = one_after_the_other(fast)
    x = torch.randn(8, 3, 9, 8, generator=torch.Generator().manual_seed(1)).double().to(memory_format=layout)
    products = []
    for module in (fast, plain):
        weights = [*module.parameters()]
        gradients = torch.autograd.grad(module(x).square().sum(), weights, create_graph=True)
        length = sum(gradient.square().sum() for gradient in gradients)
        products.append(torch.autograd.grad(length, weights))
    largest = max(float(product.abs().max()) for product in products[1])
    assert largest > 1
    for own, other in zip(*products, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-12 * largest)


def test_a_part_of_a_stage_and_one_with_more_in_it_are_their_modules_in_turn():
    module, x = stage(), torch.randn(4, 3, 9, 8)
    assert torch.equal(module[:1](x), module[0](x))
    longer = deepcopy(module).append(nn.Tanh())
    assert torch.equal(longer(x), torch.tanh(one_after_the_other(module)(x)))


def test_functions_that_are_no_relu_stay():
    """GELU falls and rises: the largest of its values is not its value of the largest."""
    module = stage(activation=nn.GELU)
    x = torch.randn(4, 3, 9, 8)
    assert torch.equal(module(x), one_after_the_other(stage(activation=nn.GELU))(x))
