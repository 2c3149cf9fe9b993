import numpy as np
import pytest
import torch

from bnexp.data.bundled import breast_cancer, digits
from bnexp.data.dataset import Dataset, Source
from bnexp.data.scaling import Scaling, units
from bnexp.data.split import split


def images() -> torch.Tensor:
    torch.manual_seed(0)
    full = torch.randint(0, 256, (60, 3, 5, 4), dtype=torch.uint8)
    return full // torch.tensor([1, 2, 5], dtype=torch.uint8)[:, None, None]


def rows() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(200, 3) * torch.tensor([1.0, 50.0, 0.001]) + torch.tensor([1e5, 0.0, 3.0])


def parted(source: Source, scaling: Scaling) -> Dataset:
    generators = (torch.Generator().manual_seed(seed) for seed in (0, 1))
    return split(source, *generators, val_fraction=0.1, test_fraction=0.2, subset=1.0, label_noise=0.0, scaling=scaling)


def seen(inputs: torch.Tensor, dataset: Dataset) -> np.ndarray:
    """The inputs as a network gets them, computed in float64."""
    shape = (1, -1, *[1] * (inputs.dim() - 2))
    offset, unit = (value.double().numpy().reshape(shape) for value in (dataset.mean, dataset.std))
    return (inputs.double().numpy() - offset) / unit


def test_standardized_images_have_the_moments_of_the_training_images_per_channel():
    inputs = images()
    mean, std = units(inputs, "standardized", 255)
    assert mean.dtype == std.dtype == torch.float32
    truth = inputs.numpy().astype(np.float64)
    np.testing.assert_allclose(mean.numpy(), truth.mean(axis=(0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(std.numpy(), truth.std(axis=(0, 2, 3)), rtol=1e-7)


def test_standardized_rows_have_the_moments_of_the_training_rows_even_far_from_zero():
    inputs = rows()
    mean, std = units(inputs, "standardized", 255)
    truth = inputs.numpy().astype(np.float64)
    np.testing.assert_allclose(mean.numpy(), truth.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std.numpy(), truth.std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("inputs", [images(), rows()], ids=["images", "rows"])
def test_raw_inputs_are_seen_as_they_are(inputs: torch.Tensor):
    offset, unit = units(inputs, "raw", 255)
    assert offset.tolist() == [0, 0, 0]
    assert unit.tolist() == [1, 1, 1]


def test_unit_divides_images_by_the_largest_possible_level_and_not_by_the_largest_there_is():
    offset, unit = units(images(), "unit", 255)  # the third channel has no level above 51
    assert offset.tolist() == [0, 0, 0]
    assert unit.tolist() == [255, 255, 255]


def test_digits_in_units_lie_between_0_and_1_and_reach_both():
    source = digits()
    pixels = seen(source.examples.inputs, parted(source, "unit"))
    assert (pixels.min(), pixels.max()) == (0, 1)
    assert np.unique(pixels).tolist() == [level / 16 for level in range(17)]


def test_rows_in_units_are_those_of_scikit_learns_min_max_scaler_fitted_to_the_training_split():
    from sklearn.preprocessing import MinMaxScaler

    dataset, raw = parted(breast_cancer(), "unit"), parted(breast_cancer(), "raw")
    truth = MinMaxScaler().fit(raw.train.inputs.double().numpy())
    for name in ("train", "val", "test"):
        expected = truth.transform(getattr(raw, name).inputs.double().numpy())
        np.testing.assert_allclose(getattr(dataset, name).inputs.numpy(), expected, rtol=1e-5, atol=1e-6)
    beyond = dataset.test.inputs
    assert beyond.min() < 0 or beyond.max() > 1  # the test set was not looked at


@pytest.mark.parametrize("scaling", ["standardized", "unit", "raw"])
def test_a_constant_row_feature_is_divided_by_one(scaling: Scaling):
    offset, unit = units(torch.full((30, 2), 0.1, dtype=torch.float64), scaling, 255)
    assert unit.tolist() == [1, 1]
    np.testing.assert_allclose(offset.numpy(), 0 if scaling == "raw" else 0.1, rtol=1e-15)


def test_a_constant_channel_is_standardized_to_zero():
    inputs = torch.full((30, 2, 3, 3), 77, dtype=torch.uint8)
    mean, std = units(inputs, "standardized", 255)
    assert mean.tolist() == [77, 77]
    assert std.tolist() == [1, 1]


def test_the_scaling_changes_no_example():
    source = digits()
    datasets = [parted(source, scaling) for scaling in ("standardized", "unit", "raw")]
    for name in ("train", "val", "test"):
        first, *others = (getattr(dataset, name) for dataset in datasets)
        assert all(torch.equal(first.inputs, other.inputs) for other in others)
        assert all(torch.equal(first.labels, other.labels) for other in others)


def test_an_unknown_scaling_is_no_scaling():
    with pytest.raises(AssertionError, match="percent"):
        units(rows(), "percent", 255)  # type: ignore[arg-type]
