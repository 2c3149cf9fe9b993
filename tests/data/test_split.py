import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnexp.data.dataset import Dataset, Examples, Source
from bnexp.data.scaling import Scaling
from bnexp.data.split import split
from bnexp.errors import ConfigError


def numbered(counts: list[int], first: int = 0) -> Examples:
    """Return rows whose one feature is their number, sorted by class as an image folder is."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return Examples(torch.arange(first, first + len(labels)).float()[:, None], labels)


def source_of(examples: Examples, test: Examples | None = None) -> Source:
    return Source(examples, tuple(f"c{label}" for label in range(int(examples.labels.max()) + 1)), test)


def parted(
    source: Source,
    seed: int = 0,
    val: float = 0.1,
    test: float = 0.2,
    subset: float = 1.0,
    label_noise: float = 0.0,
    scaling: Scaling = "raw",
) -> Dataset:
    return split(
        source,
        torch.Generator().manual_seed(seed),
        torch.Generator().manual_seed(1_000_000 + seed),
        val_fraction=val,
        test_fraction=test,
        subset=subset,
        label_noise=label_noise,
        scaling=scaling,
    )


def numbers(examples: Examples) -> list[int]:
    return [int(number) for number in examples.inputs[:, 0]]


def class_counts(examples: Examples) -> list[int]:
    return torch.bincount(examples.labels).tolist()


def test_shares_are_kept_class_by_class():
    dataset = parted(source_of(numbered([100, 40, 10])))
    assert class_counts(dataset.test) == [20, 8, 2]  # a fifth of all
    assert class_counts(dataset.val) == [8, 3, 1]  # a tenth of the other 80, 32 and 8
    assert class_counts(dataset.train) == [72, 29, 7]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=6),
    val=st.floats(0.001, 0.999),
    test=st.floats(0.001, 0.999),
    seed=st.integers(0, 1000),
)
def test_every_example_is_in_one_split_with_its_label_and_every_class_in_each(
    counts: list[int], val: float, test: float, seed: int
):
    source = source_of(numbered(counts))
    dataset = parted(source, seed, val, test)
    parts = (dataset.train, dataset.val, dataset.test)
    assert sorted(number for part in parts for number in numbers(part)) == list(range(sum(counts)))
    for part in parts:
        assert torch.equal(part.labels, source.examples.labels[numbers(part)])
        assert len(class_counts(part)) == len(counts)
        assert min(class_counts(part)) >= 1


def test_a_given_test_set_is_kept_whole():
    source = source_of(numbered([50, 50]), numbered([7, 5], first=100))
    dataset = parted(source, test=0.5)
    assert sorted(numbers(dataset.test)) == list(range(100, 112))
    assert class_counts(dataset.test) == [7, 5]
    assert sorted(numbers(dataset.train) + numbers(dataset.val)) == list(range(100))
    assert class_counts(dataset.val) == [5, 5]


@pytest.mark.parametrize("with_test", [True, False])
def test_a_subset_makes_training_and_validation_smaller_and_leaves_the_test_set(with_test: bool):
    source = source_of(numbered([100, 50]), numbered([10, 10], first=150) if with_test else None)
    whole, part = parted(source), parted(source, subset=0.5)
    assert numbers(part.test) == numbers(whole.test)
    assert class_counts(part.val) == ([5, 2] if with_test else [4, 2])
    assert class_counts(part.train) == ([45, 23] if with_test else [36, 18])
    kept = {*numbers(part.train), *numbers(part.val)}
    assert kept < {*numbers(whole.train), *numbers(whole.val)}


def test_a_tiny_subset_keeps_one_example_of_each_class_in_training_and_validation():
    dataset = parted(source_of(numbered([100, 100])), subset=0.001)
    assert class_counts(dataset.train) == [1, 1]
    assert class_counts(dataset.val) == [1, 1]


def test_the_same_generator_state_gives_the_same_splits_and_another_gives_others():
    source = source_of(numbered([100, 100]))
    first, same, other = parted(source, seed=1), parted(source, seed=1), parted(source, seed=2)
    for name in ("train", "val", "test"):
        assert numbers(getattr(first, name)) == numbers(getattr(same, name))
        assert {*numbers(getattr(first, name))} != {*numbers(getattr(other, name))}


@pytest.mark.parametrize("with_test", [True, False])
def test_label_noise_is_in_the_training_labels_alone_and_moves_no_example(with_test: bool):
    source = source_of(numbered([200, 200, 200]), numbered([50, 50, 50], first=600) if with_test else None)
    clean, noisy = parted(source), parted(source, label_noise=0.25)
    for name in ("train", "val", "test"):
        assert torch.equal(getattr(clean, name).inputs, getattr(noisy, name).inputs)
    for name in ("val", "test"):
        assert torch.equal(getattr(clean, name).labels, getattr(noisy, name).labels)
    num_wrong = int((clean.train.labels != noisy.train.labels).sum())
    assert num_wrong == round(0.25 * len(clean.train))
    assert torch.equal(clean.mean, noisy.mean)


@pytest.mark.parametrize("with_test", [True, False])
def test_consecutive_examples_mix_the_classes_of_a_sorted_source(with_test: bool):
    dataset = parted(source_of(numbered([500, 500]), numbered([500, 500], first=1000) if with_test else None))
    for part in (dataset.train, dataset.val, dataset.test):
        half = part.labels[: len(part) // 2].double().mean()
        assert 0.35 < half < 0.65  # in the sorted source it is 0


@pytest.mark.parametrize(
    ("examples", "test", "message"),
    [
        (
            numbered([2, 9]),
            None,
            "class 'c0' has too few examples \\(2\\), training, validation and test each need one of every",
        ),
        (
            numbered([9, 1]),
            numbered([5, 5]),
            "class 'c1' has too few examples \\(1\\), training and validation each need one",
        ),
        (numbered([9, 0, 9]), None, "class 'c1' has too few examples \\(0\\)"),
    ],
)
def test_a_class_with_too_few_examples_is_named(examples: Examples, test: Examples | None, message: str):
    with pytest.raises(ConfigError, match=f"^dataset: {message}.*; add examples or take the class out$"):
        parted(source_of(examples, test))


def test_missing_values_become_the_median_of_the_training_examples():
    rows = numbered([50, 50]).inputs.repeat(1, 2) ** 2
    rows[::7, 1] = float("nan")
    dataset = parted(source_of(Examples(rows, torch.arange(100) % 2)))
    squares = dataset.train.inputs[:, 0].numpy()
    present = squares[np.sqrt(squares).astype(int) % 7 != 0]
    median = np.percentile(present, 50, method="lower")
    for part in (dataset.train, dataset.val, dataset.test):
        was_missing = part.inputs[:, 0].sqrt().int() % 7 == 0
        assert was_missing.any()
        assert (part.inputs[was_missing, 1] == float(median)).all()
        assert torch.equal(part.inputs[~was_missing, 1], part.inputs[~was_missing, 0])
    standardized = parted(source_of(Examples(rows, torch.arange(100) % 2)), scaling="standardized")
    np.testing.assert_allclose(standardized.mean[1], dataset.train.inputs[:, 1].numpy().mean(), rtol=1e-6)


def test_a_feature_that_no_training_example_has_becomes_zero():
    examples = numbered([50, 50])
    source = source_of(examples)
    tested = numbers(parted(source).test)
    only_tested = torch.full((100, 1), float("nan"))
    only_tested[tested] = 5.0
    rows = torch.cat([examples.inputs, only_tested], dim=1)
    dataset = parted(source_of(Examples(rows, examples.labels)), scaling="standardized")
    assert (dataset.train.inputs[:, 1] == 0).all()
    assert (dataset.test.inputs[:, 1] == 5).all()
    assert (dataset.mean[1], dataset.std[1]) == (0, 1)


def seen(values: list[float], scaling: Scaling = "standardized") -> Dataset:
    """Return what the network sees of a column of numbers, in two classes."""
    rows = torch.tensor(values, dtype=torch.float64)[:, None]
    return parted(source_of(Examples(rows, torch.arange(len(values)) % 2)), scaling=scaling)


def inputs_of(dataset: Dataset) -> torch.Tensor:
    return torch.cat([part.inputs for part in (dataset.train, dataset.val, dataset.test)])


@pytest.mark.parametrize("scaling", ["standardized", "unit"])
@pytest.mark.parametrize(
    "values",
    [
        [1_700_000_000 + second for second in range(61)],
        [2.0**52 + number for number in range(61)],
        [1e9 + number / 1000 for number in range(61)],
        [1e300 * (1 + number) for number in range(61)],
        [1e-300 * (1 + number) for number in range(61)],
        [-1e15 - number for number in range(61)],
    ],
)
def test_numbers_far_from_zero_stay_apart_and_in_order(values: list[float], scaling: Scaling):
    dataset = seen(values, scaling)
    found = inputs_of(dataset).flatten()
    assert found.dtype == torch.float32
    assert len(found.unique()) == 61
    assert dataset.contract.warnings == ()
    truth = np.array(values) - np.mean(np.array(values) / 61) * 61
    order = np.argsort(found.numpy())
    steps = np.diff(np.sort(found.numpy()))
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-3)  # the values are in equal steps
    assert len(order) == len(truth)


def test_standardized_rows_have_the_moments_of_numpy():
    values = np.random.default_rng(0).normal(1_700_000_000, 20, 200)
    dataset = seen(values.tolist())
    train = dataset.train.inputs.double().numpy()[:, 0] * float(dataset.std[0]) + float(dataset.mean[0])
    np.testing.assert_allclose(dataset.mean[0], train.mean(), rtol=1e-12)
    np.testing.assert_allclose(dataset.std[0], train.std(), rtol=1e-6)
    assert abs(dataset.train.inputs.mean()) < 1e-6


def test_what_32_bits_do_not_tell_apart_is_counted_with_the_fix():
    values = [float(2**24 + number) for number in range(100)]  # every second one is no number of 32 bits
    (warning,) = seen(values, "raw").contract.warnings
    assert warning.startswith("49 of 100 different numbers of 'feature 0' are the same to the network")
    assert "dataset.scaling=standardized" in warning
    far = [*(1 + number * 1e-9 for number in range(99)), 1e9]
    assert "of 100 different numbers" in seen(far).contract.warnings[0]


def test_a_constant_column_is_zero_and_not_blown_up():
    assert (inputs_of(seen([0.1] * 50)) == 0).all()


def test_a_number_that_leaves_32_bits_is_refused():
    with pytest.raises(
        ConfigError, match=r"^dataset\.scaling=raw: .* of 'feature 0' .*; use dataset\.scaling=standardized"
    ):
        seen([1e200 * number for number in range(50)], "raw")
    tested = numbers(parted(source_of(numbered([25, 25]))).test)
    values = [0.0] * 50
    values[tested[0]] = 1e200
    examples = Examples(torch.tensor(values, dtype=torch.float64)[:, None], numbered([25, 25]).labels)
    with pytest.raises(ConfigError, match=r"1e\+200 of 'feature 0' is no number of 32 bits after scaling; write"):
        parted(source_of(examples), scaling="standardized")


@pytest.mark.parametrize("with_test", [True, False])
def test_a_given_validation_set_is_kept_whole(with_test: bool):
    examples, own = numbered([50, 50]), numbered([7, 5], first=100)
    source = Source(examples, ("c0", "c1"), numbered([4, 4], first=200) if with_test else None, own)
    dataset = parted(source, test=0.2, val=0.5, subset=0.5)
    assert sorted(numbers(dataset.val)) == list(range(100, 112))
    assert class_counts(dataset.test) == ([4, 4] if with_test else [10, 10])
    assert class_counts(dataset.train) == ([25, 25] if with_test else [20, 20])
    assert dataset.contract.examples == dataset.num_examples
    assert dataset.contract.classes == {"c0": 57 + 4 * with_test, "c1": 55 + 4 * with_test}
