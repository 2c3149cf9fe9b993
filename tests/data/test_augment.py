"""Augmentation against slicing and mirroring one padded image at a time, and the distribution of what is drawn."""

import pytest
import torch
from scipy.stats import chisquare
from torch.nn import functional as F

from bnexp.data.augment import crop_flip, cropped, flip, none

DTYPES = [torch.uint8, torch.float32, torch.bfloat16]
FORMATS = [torch.contiguous_format, torch.channels_last]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(num_images, channels=3, height=5, width=7, dtype=torch.uint8):
    return torch.randint(1, 256, (num_images, channels, height, width), generator=seeded(1)).to(dtype)


def one_by_one(batch, rows, padding):
    """Each image (C, H, W) padded, cut and mirrored by itself."""
    height, width = batch.shape[2:]
    result = []
    for image, (top, left, mirrored) in zip(batch, rows.tolist(), strict=True):
        framed = torch.zeros(image.shape[0], height + 2 * padding, width + 2 * padding, dtype=image.dtype)
        framed[:, padding : padding + height, padding : padding + width] = image
        window = framed[:, top : top + height, left : left + width]
        result.append(torch.flip(window, dims=[2]) if mirrored else window)
    return torch.stack(result)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory_format", FORMATS)
def test_every_shift_and_mirror_equals_slicing_one_padded_image(dtype, memory_format):
    padding = 2
    shifts = torch.arange(2 * padding + 1)
    rows = torch.cartesian_prod(shifts, shifts, torch.arange(2))  # all 50 combinations
    batch = images(len(rows), dtype=dtype)
    plan = crop_flip(len(rows), seeded(), padding=padding)
    found = plan.apply(batch.to(memory_format=memory_format), rows)
    assert found.dtype == dtype
    assert torch.equal(found, one_by_one(batch, rows, padding))


def test_the_middle_crop_is_the_image_itself():
    batch = images(4)
    four = torch.full((4,), 4)
    assert torch.equal(cropped(batch, four, four, torch.zeros(4), 4), batch)


@pytest.mark.parametrize("padding", [1, 5, 9])
def test_a_shift_beyond_the_edge_leaves_zeros(padding):
    batch = images(1, height=5, width=7)
    zero = torch.zeros(1, dtype=torch.int64)
    found = cropped(batch, zero, zero, zero, padding)  # the image moves down and right by the padding
    expected = F.pad(batch, (padding, 0, padding, 0))[:, :, :5, :7]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory_format", FORMATS)
def test_flip_mirrors_the_images_that_it_says_and_no_others(dtype, memory_format):
    batch = images(6, dtype=dtype)
    rows = torch.tensor([[0], [1], [1], [0], [0], [1]])
    found = flip(6, seeded()).apply(batch.to(memory_format=memory_format), rows)
    for image, original, mirrored in zip(found, batch, rows[:, 0].tolist(), strict=True):
        width = range(7)
        expected = torch.stack([original[:, :, 6 - column if mirrored else column] for column in width], dim=2)
        assert torch.equal(image, expected)


def test_all_combinations_of_shift_and_mirror_are_equally_likely():
    top, left, mirrored = crop_flip(100_000, seeded(), padding=2).parameters.unbind(1)
    counts = torch.bincount((top * 5 + left) * 2 + mirrored, minlength=50)
    assert len(counts) == 50
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_half_of_the_images_are_mirrored():
    counts = torch.bincount(flip(100_000, seeded()).parameters[:, 0], minlength=2)
    assert len(counts) == 2
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_images_of_one_batch_get_draws_of_their_own():
    batch = images(1).expand(64, -1, -1, -1)
    plan = crop_flip(64, seeded(), padding=2)
    num_different = len(torch.unique(plan.apply(batch, plan.parameters), dim=0))
    assert num_different > 25  # 64 draws from 50 give 36 on average


def test_a_part_of_an_epoch_is_augmented_as_within_the_whole():
    batch = images(20)
    for plan in (crop_flip(20, seeded(), padding=3), flip(20, seeded())):
        whole = plan.apply(batch, plan.parameters)
        part = slice(7, 12)
        assert torch.equal(plan.apply(batch[part], plan.parameters[part]), whole[part])


@pytest.mark.parametrize("make", [flip, lambda num, generator: crop_flip(num, generator, padding=4)])
def test_the_generator_alone_decides(make):
    torch.manual_seed(0)
    first = make(50, seeded(7)).parameters
    torch.manual_seed(1)
    assert torch.equal(make(50, seeded(7)).parameters, first)
    assert not torch.equal(make(50, seeded(8)).parameters, first)


def test_no_augmentation_has_no_plan_and_draws_nothing():
    generator = seeded()
    before = generator.get_state()
    assert none(10, generator) is None
    assert torch.equal(generator.get_state(), before)
