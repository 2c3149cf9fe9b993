"""Augmentation against slicing and mirroring one padded image at a time, and the distribution of what is drawn."""

from functools import partial

import pytest
import torch
from scipy.stats import beta, chisquare, kstest
from torch.nn import functional as F

from bnexp.data.augment import crop_flip, cropped, cutout, flip, hidden, mixed, mixup, none

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


MAKERS = {
    "flip": flip,
    "crop_flip": partial(crop_flip, padding=4),
    "cutout": partial(cutout, padding=None, size=2),
    "mixup": partial(mixup, padding=None, alpha=1.0),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_generator_alone_decides(make):
    def drawn(seed):
        plan = make(50, seeded(seed))
        return torch.cat([plan.parameters.flatten(), plan.shares if plan.shares is not None else torch.empty(0)])

    torch.manual_seed(0)
    first = drawn(7)
    torch.manual_seed(1)
    assert torch.equal(drawn(7), first)
    assert not torch.equal(drawn(8), first)


def test_no_augmentation_has_no_plan_and_draws_nothing():
    generator = seeded()
    before = generator.get_state()
    assert none(10, generator) is None
    assert torch.equal(generator.get_state(), before)


def hidden_one_by_one(batch, centres, size):
    """Each image (C, H, W) with its square set to 0 pixel by pixel."""
    result = batch.clone()
    for image, (row, column) in zip(result, centres, strict=True):
        for r in range(row - size // 2, row - size // 2 + size):
            for c in range(column - size // 2, column - size // 2 + size):
                if 0 <= r < image.shape[1] and 0 <= c < image.shape[2]:
                    image[:, r, c] = 0
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 20])
def test_cutout_hides_a_square_around_every_pixel_of_an_image(dtype, memory_format, size):
    centres = torch.cartesian_prod(torch.arange(5), torch.arange(7))  # all 35 of them
    batch = images(len(centres), dtype=dtype)
    found = hidden(batch.to(memory_format=memory_format), centres[:, 0], centres[:, 1], size)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=memory_format)
    assert torch.equal(found, hidden_one_by_one(batch, centres.tolist(), size))


def test_cutout_hides_every_pixel_equally_often_as_a_centre():
    plan = cutout(50_000, seeded(), padding=None, size=1)
    batch = torch.ones(1, 1, 5, 7).expand(50_000, -1, -1, -1)
    counts = (plan.apply_scaled(batch, plan.parameters) == 0).sum(0).flatten()
    assert counts.sum() == 50_000
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_cutout_with_a_padding_first_crops_and_flips_as_that_choice_does():
    batch = images(40).float()
    plan, crops = cutout(40, seeded(), padding=2, size=3), crop_flip(40, seeded(), padding=2)
    cropped_batch = crops.apply(batch, crops.parameters)
    assert torch.equal(plan.apply(batch, plan.parameters), cropped_batch)
    centres = [(row % 5, column % 7) for row, column in plan.parameters[:, 3:].tolist()]
    found = plan.apply_scaled(cropped_batch, plan.parameters)
    assert torch.equal(found, hidden_one_by_one(cropped_batch, centres, 3))


@pytest.mark.parametrize("shape", [(3, 5, 7), (4,)])
def test_mixup_mixes_each_example_with_the_one_before_it(shape):
    values = torch.randn(6, *shape, generator=seeded(2))
    shares = torch.tensor([0.0, 1.0, 0.5, 0.25, 0.9, 0.1])
    found = mixed(values, shares)
    for index, share in enumerate(shares.tolist()):
        expected = share * values[index] + (1 - share) * values[index - 1]
        torch.testing.assert_close(found[index], expected)


def test_mixed_images_stay_channels_last():
    batch = images(4, dtype=torch.float32).to(memory_format=torch.channels_last)
    assert mixed(batch, torch.rand(4)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])  # 0.2 has much of its mass where float32 rounds to 1
def test_shares_are_drawn_from_a_beta_distribution(alpha):
    shares = mixup(20_000, seeded(), padding=None, alpha=alpha).shares
    assert shares.dtype == torch.float32
    assert kstest(shares.numpy(), beta(alpha, alpha).cdf).pvalue > 0.001


def test_mixup_needs_no_images_unless_it_crops_them():
    plain, cropping = mixup(30, seeded(), padding=None, alpha=1.0), mixup(30, seeded(), padding=2, alpha=1.0)
    assert not plain.needs_images
    assert cropping.needs_images
    crops = crop_flip(30, seeded(), padding=2)
    batch = images(30)
    assert torch.equal(cropping.apply(batch, cropping.parameters), crops.apply(batch, crops.parameters))


@pytest.mark.parametrize("plan", [flip(4, seeded()), cutout(4, seeded(), padding=None, size=2)])
def test_what_moves_or_hides_pixels_needs_images(plan):
    assert plan.needs_images
