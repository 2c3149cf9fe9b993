"""Batches: standardized right, each example once an epoch, the same ones whatever else a run does."""

import itertools
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnexp.data.augment import crop_flip, cutout, flip, mixup, none
from bnexp.data.dataset import Dataset, Examples
from bnexp.seeding import derive_seed
from bnexp.training.batches import Scale, TrainingBatches, evaluation_batches, on_device

CPU = torch.device("cpu")


def dataset(inputs, mean=None, std=None):
    examples = Examples(inputs, torch.arange(len(inputs)))
    dims = [0] if inputs.dim() == 2 else [0, 2, 3]
    mean = inputs.double().mean(dims).float() if mean is None else mean
    std = inputs.double().std(dims).float() if std is None else std
    return Dataset(examples, examples, examples, ("only",), mean, std)


def images(num_images, channels=3, height=4, width=5):
    return torch.randint(256, (num_images, channels, height, width), generator=torch.Generator().manual_seed(0)).byte()


def unscaled(num_features):
    return Scale(dataset(torch.zeros(1, num_features), torch.zeros(num_features), torch.ones(num_features)), CPU)


def numbered(num_examples, batch_size, seed=0, augmentation=none):
    """Batches of rows that hold their own index, as their labels do."""
    rows = torch.arange(num_examples, dtype=torch.float32)[:, None]
    examples = Examples(rows, torch.arange(num_examples))
    return in_batches(examples, unscaled(1), augmentation, batch_size, seed)


def in_batches(examples, scale, augmentation, batch_size, seed, num_classes=4, label_smoothing=0.0):
    return TrainingBatches(
        examples,
        scale,
        augmentation,
        num_classes=num_classes,
        label_smoothing=label_smoothing,
        batch_size=batch_size,
        seed=seed,
    )


def labels(batches, steps):
    return [batches.at(step)[1].tolist() for step in steps]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_standardized_per_channel(channels):
    x = images(50, channels)
    data = dataset(x)
    found = Scale(data, CPU)(x)
    mean, std = (value.double()[:, None, None] for value in (data.mean, data.std))
    torch.testing.assert_close(found.double(), (x.double() - mean) / std, rtol=1e-6, atol=1e-6)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_rows_come_scaled():
    rows = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    data = dataset(rows, torch.tensor([40.0, 5000.0, 0.0]).double(), torch.tensor([20.0, 3000.0, 1e-3]).double())
    assert torch.equal(Scale(data, CPU)(rows), rows)


def test_a_hundred_points_in_batches_of_4_are_25_iterations_and_25_moving_average_updates_an_epoch():
    batches = numbered(100, 4)
    norm = nn.BatchNorm1d(1)
    for step in range(batches.steps_per_epoch):
        norm(batches.at(step)[0])
    assert batches.steps_per_epoch == 25
    assert norm.num_batches_tracked == 25
    assert sorted(itertools.chain(*labels(batches, range(25)))) == list(range(100))


@pytest.mark.parametrize(("num_examples", "batch_size"), [(10, 3), (7, 7), (7, 1), (103, 10)])
def test_an_epoch_takes_every_example_at_most_once_and_leaves_less_than_a_batch(num_examples, batch_size):
    batches = numbered(num_examples, batch_size)
    per_epoch = batches.steps_per_epoch
    assert per_epoch == num_examples // batch_size
    for epoch in range(3):
        taken = labels(batches, range(epoch * per_epoch, (epoch + 1) * per_epoch))
        assert all(len(batch) == batch_size for batch in taken)
        assert len(set(itertools.chain(*taken))) == per_epoch * batch_size


def test_examples_left_over_get_their_turn_in_another_epoch():
    batches = numbered(10, 6)  # one step an epoch, four left over
    assert set(itertools.chain(*labels(batches, range(20)))) == set(range(10))


def test_inputs_stay_with_their_labels():
    batches = numbered(50, 8)
    for step in range(15):
        inputs, targets = batches.at(step)
        assert torch.equal(inputs[:, 0], targets.float())


def test_the_order_depends_on_seed_and_epoch_alone():
    flat = {
        (batch_size, augmentation): list(itertools.chain(*labels(numbered(24, batch_size, 5, augmentation), range(n))))
        for batch_size, n, augmentation in [(4, 12, none), (8, 6, none), (24, 2, none)]
    }
    torch.manual_seed(99)
    first = flat.popitem()[1]
    assert all(order == first for order in flat.values())
    assert first[:24] != first[24:]  # two epochs
    assert labels(numbered(24, 4, seed=6), range(12)) != labels(numbered(24, 4, seed=5), range(12))


def test_augmentation_does_not_change_which_examples_come_when():
    x, scale = images(12), Scale(dataset(images(12)), CPU)
    examples = Examples(x, torch.arange(12))
    taken = [
        labels(in_batches(examples, scale, augmentation, batch_size=4, seed=0), range(6))
        for augmentation in (none, flip, lambda num, generator: crop_flip(num, generator, padding=2))
    ]
    assert taken[0] == taken[1] == taken[2]


@pytest.mark.parametrize("augmentation", [none, lambda num, generator: crop_flip(num, generator, padding=2)])
def test_any_step_can_be_entered_directly(augmentation):
    data = dataset(images(22))

    def fresh():
        return in_batches(data.train, Scale(data, CPU), augmentation, batch_size=4, seed=3)

    walked = fresh()
    expected = [walked.at(step) for step in range(15)]
    for step in [14, 0, 7, 6, 5]:
        for batches in (fresh(), walked):
            inputs, targets = batches.at(step)
            assert torch.equal(inputs, expected[step][0])
            assert torch.equal(targets, expected[step][1])


def test_the_plan_of_an_epoch_is_carried_out_batch_by_batch_in_its_order():
    data = dataset(images(23))
    plans, seeds = [], []

    def augmentation(num_examples, draws):
        seeds.append(draws.initial_seed())
        plans.append(crop_flip(num_examples, draws, padding=2))
        return plans[-1]

    batches = in_batches(data.train, Scale(data, CPU), augmentation, batch_size=5, seed=3)
    for epoch in range(2):
        parts = [batches.at(4 * epoch + position) for position in range(4)]
        order = torch.cat([targets for _, targets in parts])
        whole = plans[epoch].apply(data.train.inputs[order], plans[epoch].parameters[:20])
        assert torch.equal(torch.cat([inputs for inputs, _ in parts]), Scale(data, CPU)(whole))
    assert seeds == [derive_seed(3, "augment", 0), derive_seed(3, "augment", 1)]


def test_each_image_is_augmented_anew_in_every_epoch():
    data = dataset(images(1).expand(6, -1, -1, -1).contiguous())  # six times the same image
    augmentation = lambda num, generator: crop_flip(num, generator, padding=2)  # noqa: E731
    batches = in_batches(data.train, Scale(data, CPU), augmentation, batch_size=6, seed=0)
    seen = torch.cat([batches.at(epoch)[0] for epoch in range(10)])
    assert len(torch.unique(seen, dim=0)) > 30  # 60 draws from 50 shifts and mirrors give 35 on average


def test_augmented_images_are_zero_beyond_their_edge_before_they_are_scaled():
    white = torch.full((8, 1, 4, 4), 200, dtype=torch.uint8)
    data = dataset(white, torch.tensor([100.0]), torch.tensor([50.0]))
    augmentation = lambda num, generator: crop_flip(num, generator, padding=2)  # noqa: E731
    inputs, _ = in_batches(data.train, Scale(data, CPU), augmentation, batch_size=8, seed=0).at(0)
    assert inputs.unique().tolist() == pytest.approx([-2, 2])  # (0 − 100) / 50 and (200 − 100) / 50


def test_smoothed_labels_are_probabilities_and_others_stay_labels():
    data = dataset(images(8))
    examples = Examples(data.train.inputs, torch.tensor([0, 1, 2, 3, 3, 2, 1, 0]))
    _, targets = in_batches(examples, Scale(data, CPU), none, batch_size=8, seed=0).at(0)
    _, smooth = in_batches(examples, Scale(data, CPU), none, batch_size=8, seed=0, label_smoothing=0.2).at(0)
    assert targets.dtype == torch.int64
    expected = [[0.85 if label == k else 0.05 for k in range(4)] for label in targets.tolist()]
    torch.testing.assert_close(smooth, torch.tensor(expected))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("padding", [None, 2])
def test_mixup_mixes_inputs_and_targets_of_a_batch_alike(padding, label_smoothing):
    data, plans = dataset(images(12)), []
    examples = Examples(data.train.inputs, torch.arange(12) % 4)

    def augmentation(num_examples, draws):
        plans.append(mixup(num_examples, draws, padding=padding, alpha=1.0))
        return plans[-1]

    cropping = none if padding is None else partial(crop_flip, padding=padding)
    keys = {"scale": Scale(data, CPU), "batch_size": 4, "seed": 0, "label_smoothing": label_smoothing}
    mixing = in_batches(examples, augmentation=augmentation, **keys)
    plain = in_batches(examples, augmentation=cropping, **keys)
    for step in range(3):
        (inputs, targets), (clean, labels) = mixing.at(step), plain.at(step)
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        for index in range(4):
            share = plans[0].shares[4 * step + index]
            torch.testing.assert_close(inputs[index], share * clean[index] + (1 - share) * clean[index - 1])
            expected = torch.zeros(4)
            for weight, label in ((share, labels[index]), (1 - share, labels[index - 1])):
                expected += weight * (F.one_hot(label, 4) if label_smoothing == 0 else label)
            torch.testing.assert_close(targets[index], expected)


def test_rows_can_be_mixed_too():
    examples = Examples(torch.arange(6.0)[:, None], torch.arange(6))
    augmentation = partial(mixup, padding=None, alpha=1.0)
    inputs, targets = in_batches(examples, unscaled(1), augmentation, batch_size=6, seed=0, num_classes=6).at(0)
    torch.testing.assert_close(targets.sum(1), torch.ones(6))
    torch.testing.assert_close(inputs[:, 0], targets @ torch.arange(6.0))  # a row is its label
    assert (targets > 0).sum() > 6


def test_cutout_hides_behind_the_mean():
    white = torch.full((8, 1, 4, 4), 200, dtype=torch.uint8)
    data = dataset(white, torch.tensor([100.0]), torch.tensor([50.0]))
    augmentation = partial(cutout, padding=None, size=1)
    inputs, targets = in_batches(data.train, Scale(data, CPU), augmentation, batch_size=8, seed=0).at(0)
    assert (inputs == 0).sum((1, 2, 3)).tolist() == [1] * 8
    assert inputs[inputs != 0].unique().tolist() == pytest.approx([2])  # (200 − 100) / 50
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert targets.dtype == torch.int64


@pytest.mark.parametrize(("num_examples", "batch_size", "sizes"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 10, [3])])
def test_evaluation_takes_every_example_in_order(num_examples, batch_size, sizes):
    examples = on_device(Examples(torch.arange(num_examples).float()[:, None], torch.arange(num_examples)), CPU)
    batches = list(evaluation_batches(examples, unscaled(1), batch_size))
    assert [len(targets) for _, targets in batches] == sizes
    assert torch.cat([inputs for inputs, _ in batches])[:, 0].tolist() == list(range(num_examples))
    assert torch.cat([targets for _, targets in batches]).tolist() == list(range(num_examples))
