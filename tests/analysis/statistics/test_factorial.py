import numpy as np
import pytest
from scipy import stats

from bnexp.analysis.statistics.factorial import (
    interaction_contrast,
    largest_interaction,
    main_effect,
    marginal_mean,
    two_way_anova,
)

# Crampton 1947, R's ToothGrowth: length of teeth by supplement and dose of vitamin C
TEETH = {
    ("VC", "0.5"): [4.2, 11.5, 7.3, 5.8, 6.4, 10.0, 11.2, 11.2, 5.2, 7.0],
    ("VC", "1"): [16.5, 16.5, 15.2, 17.3, 22.5, 17.3, 13.6, 14.5, 18.8, 15.5],
    ("VC", "2"): [23.6, 18.5, 33.9, 25.5, 26.4, 32.5, 26.7, 21.5, 23.3, 29.5],
    ("OJ", "0.5"): [15.2, 21.5, 17.6, 9.7, 14.5, 10.0, 8.2, 9.4, 16.5, 9.7],
    ("OJ", "1"): [19.7, 23.3, 23.6, 26.4, 20.0, 25.2, 25.8, 21.2, 14.5, 27.3],
    ("OJ", "2"): [25.5, 26.4, 22.4, 24.5, 24.8, 30.9, 26.4, 27.3, 29.4, 23.0],
}


def residual_sum_of_squares(columns, y):
    design = np.column_stack([np.ones(len(y)), *columns])
    return float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())


def test_the_anova_of_the_tooth_growth_data_is_the_published_one():
    supplement, dose, both = two_way_anova(TEETH, ("supplement", "dose"))
    assert [effect.name for effect in (supplement, dose, both)] == ["supplement", "dose", "supplement × dose"]
    assert [effect.df for effect in (supplement, dose, both)] == [1, 2, 2]
    sums = [effect.sum_of_squares for effect in (supplement, dose, both)]
    assert sums == pytest.approx([205.35, 2426.43, 108.32], abs=0.005)
    assert [effect.f for effect in (supplement, dose, both)] == pytest.approx([15.572, 92.000, 4.107], abs=5e-4)
    assert (supplement.p_value, both.p_value) == pytest.approx((0.000231, 0.02186), rel=2e-3)
    assert dose.partial_eta_squared == pytest.approx(2426.4 / (2426.4 + 712.1), rel=1e-4)


def test_in_a_balanced_design_the_shares_of_variance_and_of_noise_add_up_to_one():
    residual = sum(np.var(values) * 10 for values in TEETH.values())
    total = np.var(np.concatenate([*TEETH.values()])) * 60
    assert sum(effect.eta_squared for effect in two_way_anova(TEETH)) == pytest.approx(1 - residual / total)


def test_with_unequal_runs_each_main_effect_is_what_it_adds_to_the_other():
    rng = np.random.default_rng(0)
    cells = {(a, b): rng.normal(2 * (a == "x") + (b == "v"), 1, n) for a, b, n in
             (("x", "u", 3), ("x", "v", 7), ("y", "u", 5), ("y", "v", 2), ("z", "u", 4), ("z", "v", 6))}  # fmt: skip
    y = np.concatenate([*cells.values()])
    labels = [cell for cell, values in cells.items() for _ in values]
    a = [np.array([label[0] == level for label in labels], float) for level in "yz"]
    b = [np.array([label[1] == "v" for label in labels], float)]
    first, second, both = (effect.sum_of_squares for effect in two_way_anova(cells))
    additive = residual_sum_of_squares(a + b, y)
    assert first == pytest.approx(residual_sum_of_squares(b, y) - additive)
    assert second == pytest.approx(residual_sum_of_squares(a, y) - additive)
    assert both == pytest.approx(additive - residual_sum_of_squares([*a, *b, *(x * b[0] for x in a)], y))


def test_the_interaction_contrast_is_how_much_more_one_change_does_at_the_second_row():
    cells = {
        ("default", "none"): [0.09, 0.11],
        ("default", "batch"): [0.94, 0.96],
        ("he", "none"): [0.92, 0.94],
        ("he", "batch"): [0.96, 0.98],
    }
    estimate = interaction_contrast(cells, ("default", "he"), ("none", "batch"))
    assert estimate.value == pytest.approx((0.97 - 0.93) - (0.95 - 0.10))
    assert estimate.interval() == pytest.approx((-0.81 - 2.7764451 * 0.02, -0.81 + 2.7764451 * 0.02))
    largest = largest_interaction(cells)
    assert (largest.searched, largest.estimate.value) == (1, pytest.approx(-0.81))
    assert largest.interval == pytest.approx(estimate.interval())


def test_a_main_effect_is_averaged_over_the_other_factor():
    cells = {("x", "u"): [0.0, 2.0], ("x", "v"): [4.0, 6.0], ("y", "u"): [9.0, 11.0], ("y", "v"): [19.0, 21.0]}
    estimate = main_effect(cells, 0, ("x", "y"))
    assert estimate.value == pytest.approx(12)
    assert estimate.interval() == pytest.approx((12 - 2.7764451, 12 + 2.7764451))  # each s²/n = 1: √(4/4), 4 df
    assert main_effect(cells, 1, ("v", "u")).value == pytest.approx(-7)
    difference = marginal_mean(cells, "y", 0).value - marginal_mean(cells, "x", 0).value
    assert estimate.value == pytest.approx(difference)


def test_cells_whose_runs_agree_are_known_to_the_resolution_alone():
    """Two cells at chance, and two in which the runs differ by one example of 360: Welch and Satterthwaite."""
    step = 1 / 360
    near = [0.1 + step, 0.1 + step, 0.1 + 2 * step]
    cells = {("x", "u"): [0.1] * 3, ("x", "v"): [0.1] * 3, ("y", "u"): near, ("y", "v"): near}
    variances = np.array([step**2 / 12, step**2 / 12, np.var(near, ddof=1), np.var(near, ddof=1)]) / 3
    for found, weight in (
        (main_effect(cells, 0, ("x", "y"), resolution=step), 1 / 2),
        (interaction_contrast(cells, ("x", "y"), ("u", "v"), resolution=step), 1.0),
        (largest_interaction(cells, resolution=step).estimate, 1.0),
    ):
        parts = weight**2 * variances
        half = stats.t.ppf(0.975, parts.sum() ** 2 / (parts**2 / 2).sum()) * np.sqrt(parts.sum())
        assert found.interval() == pytest.approx((found.value - half, found.value + half))
    half = stats.t.ppf(0.975, 4) * np.sqrt(step**2 / 12 / 3 / 2)
    assert marginal_mean(cells, "x", 0, resolution=step).interval() == pytest.approx((0.1 - half, 0.1 + half))


def test_the_largest_of_many_interactions_pays_for_the_search():
    largest = largest_interaction(TEETH)
    assert largest.searched == 3
    assert (largest.rows, largest.columns) == (("VC", "OJ"), ("1", "2"))
    low, high = largest.interval
    assert low < largest.estimate.interval()[0]
    assert high > largest.estimate.interval()[1]


def test_a_marginal_mean_counts_every_cell_the_same():
    cells = {
        ("x", "u"): [1.0, 3.0],
        ("x", "v"): [10.0, 10.5, 9.5, 10.0],
        ("y", "u"): [0.0, 1.0],
        ("y", "v"): [0.0, 1.0],
    }
    assert marginal_mean(cells, "x", 0).value == pytest.approx(6)
    assert marginal_mean(cells, "u", 1).value == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({("x", "u"): [1.0, 2.0], ("x", "v"): [1.0], ("y", "u"): [1.0]}, "no mean in y × v"),
        ({("x", "u"): [1.0, 2.0], ("x", "v"): [1.0, 3.0]}, "two or more levels"),
        ({("x", "u"): [1.0], ("x", "v"): [1.0], ("y", "u"): [1.0], ("y", "v"): [2.0]}, "one run in every cell"),
        ({("x", "u"): [0.1] * 3, ("x", "v"): [0.2], ("y", "u"): [0.3] * 2, ("y", "v"): [0.1]}, "agree exactly"),
    ],
)
def test_a_design_that_cannot_answer_says_what_is_missing(cells, message):
    with pytest.raises(ValueError, match=message):
        two_way_anova(cells)
