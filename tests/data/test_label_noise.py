import pytest
import torch
from scipy.stats import chisquare

from bnexp.data.dataset import Examples
from bnexp.data.label_noise import mislabel


def examples(num_examples: int, num_classes: int) -> Examples:
    return Examples(torch.arange(num_examples).float()[:, None], torch.arange(num_examples) % num_classes)


def noisy_labels(clean: Examples, num_classes: int, portion: float, seed: int = 0) -> torch.Tensor:
    return mislabel(clean, num_classes, portion, torch.Generator().manual_seed(seed)).labels


@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize("portion", [0.0, 0.001, 0.1, 0.5, 0.9, 1.0])
def test_exactly_the_portion_of_the_labels_is_wrong(num_classes: int, portion: float):
    clean = examples(1234, num_classes)
    labels = noisy_labels(clean, num_classes, portion)
    assert int((labels != clean.labels).sum()) == round(portion * 1234)
    assert labels.min() >= 0
    assert labels.max() < num_classes


def test_two_classes_with_all_labels_wrong_have_changed_places():
    clean = examples(100, 2)
    assert torch.equal(noisy_labels(clean, 2, 1.0), 1 - clean.labels)


def test_a_wrong_label_is_each_of_the_other_classes_equally_often():
    clean = examples(20_000, 5)
    labels = noisy_labels(clean, 5, 0.5)
    for true_class in range(5):
        wrong = labels[(clean.labels == true_class) & (labels != clean.labels)]
        counts = torch.bincount(wrong, minlength=5)
        assert counts[true_class] == 0
        others = torch.cat([counts[:true_class], counts[true_class + 1 :]])
        assert chisquare(others.numpy()).pvalue > 1e-4


def test_the_wrong_examples_are_a_fair_sample_of_all():
    clean = examples(20_000, 5)
    is_wrong = noisy_labels(clean, 5, 0.3) != clean.labels
    by_class = torch.bincount(clean.labels[is_wrong], minlength=5)
    assert chisquare(by_class.numpy()).pvalue > 1e-4
    by_place = is_wrong.view(10, -1).sum(dim=1)
    assert chisquare(by_place.numpy()).pvalue > 1e-4


def test_more_noise_keeps_the_wrong_labels_of_less_noise():
    clean = examples(500, 10)
    less, more = noisy_labels(clean, 10, 0.2), noisy_labels(clean, 10, 0.6)
    wrong = less != clean.labels
    assert torch.equal(more[wrong], less[wrong])


def test_the_same_generator_state_gives_the_same_labels_and_another_gives_others():
    clean = examples(500, 10)
    assert torch.equal(noisy_labels(clean, 10, 0.3), noisy_labels(clean, 10, 0.3))
    assert not torch.equal(noisy_labels(clean, 10, 0.3), noisy_labels(clean, 10, 0.3, seed=1))


def test_the_clean_examples_stay_clean():
    clean = examples(100, 4)
    noisy = mislabel(clean, 4, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(clean.labels, torch.arange(100) % 4)
    assert torch.equal(noisy.inputs, clean.inputs)
