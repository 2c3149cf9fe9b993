import math
from dataclasses import replace

import pytest
from scipy import stats

from bnexp.analysis.statistics.learning_rate import (
    Choice,
    Trial,
    best_rate_table,
    best_rates,
    common_rate_table,
    largest_stable_rates,
    reversals,
    unfair_grids,
)

NOISE = (-0.01, 0.0, 0.01)


def grid(arm, accuracies, diverged=()):
    """Three seeds at each learning rate of ``accuracies`` (validation; test is 0.02 lower)."""
    return [
        Trial(arm, lr, seed, accuracy + noise, accuracy + noise - 0.02, lr in diverged and seed == 0)
        for lr, accuracy in accuracies.items()
        for seed, noise in enumerate(NOISE)
    ]


# As in Bjorck 2018: plain is ahead at the small rate, batch norm stands the large one and wins
TRIALS = grid("plain", {0.001: 0.80, 0.01: 0.85, 0.1: 0.105}, diverged=[0.1]) + grid(
    "batch", {0.001: 0.70, 0.01: 0.90, 0.1: 0.95}
)


def test_each_arm_gets_the_rate_of_its_best_validation_accuracy_and_a_flag_at_the_grids_edge():
    assert best_rates(TRIALS) == {"plain": Choice(0.01, None), "batch": Choice(0.1, "highest")}
    assert best_rates(grid("x", {0.1: 0.9, 0.2: 0.8})) == {"x": Choice(0.1, "lowest")}
    assert best_rates(grid("x", {0.1: 0.9})) == {"x": Choice(0.1, "only")}


def test_the_test_set_takes_no_part_in_the_choice():
    trials = [Trial("x", 0.1, 0, 0.9, 0.5), Trial("x", 0.2, 0, 0.8, 0.99)]
    assert best_rates(trials)["x"].lr == 0.1


def test_among_equal_rates_the_smaller_is_chosen_whatever_the_order():
    trials = [Trial("x", lr, 0, 0.9, 0.9) for lr in (0.3, 0.1, 0.2)]
    assert best_rates(trials)["x"].lr == 0.1


def test_a_rate_is_stable_when_no_seed_diverges_guesses_or_is_without_a_score():
    assert largest_stable_rates(TRIALS) == {"plain": Choice(0.01, None), "batch": Choice(0.1, "highest")}
    for bad in ({"guesses": True}, {"diverged": True}, {"validation": math.nan, "test": math.nan}):
        trials = [*grid("x", {0.1: 0.9}), Trial("x", 0.2, 0, 0.9, 0.9), replace(Trial("x", 0.2, 1, 0.9, 0.9), **bad)]
        assert largest_stable_rates(trials)["x"].lr == 0.1
        assert largest_stable_rates([replace(trial, **bad) for trial in trials]) == {"x": None}


def test_a_rate_at_which_a_run_has_no_score_is_never_the_best_and_has_no_mean():
    trials = [*grid("x", {0.1: 0.5, 0.2: 0.9}), Trial("x", 0.2, 3, math.nan, math.nan, diverged=True)]
    assert best_rates(trials)["x"].lr == 0.1
    found = common_rate_table(trials)[0.2]["x"]
    assert math.isnan(found.value)
    assert found.note == "1 of 4 runs have no score"
    assert best_rates([Trial("x", 0.1, 0, math.nan, math.nan)]) == {}


def test_means_and_differences_of_accuracies_stay_where_accuracies_can_be():
    trials = [Trial(arm, 0.1, seed, value, value) for arm in ("x", "y") for seed, value in enumerate((0.1, 0.99))]
    for estimate in common_rate_table(trials)[0.1].values():
        assert estimate.interval() == (0, 1)


def test_both_tables_hold_the_mean_test_accuracy_with_its_interval():
    common = common_rate_table(TRIALS)
    assert [*common] == [0.001, 0.01, 0.1]
    assert common[0.001]["plain"].value == pytest.approx(0.78)
    assert common[0.001]["plain"].interval() == pytest.approx(
        tuple(stats.ttest_1samp([0.77, 0.78, 0.79], 0).confidence_interval())
    )
    best = best_rate_table(TRIALS, best_rates(TRIALS))
    assert {arm: estimate.value for arm, estimate in best.items()} == pytest.approx({"plain": 0.83, "batch": 0.93})


def test_a_story_that_turns_round_between_the_tables_is_told():
    (found,) = reversals(TRIALS, best_rates(TRIALS))
    assert (found.first, found.second, found.lr) == ("plain", "batch", 0.001)
    assert found.common.value == pytest.approx(0.10)
    assert found.best.value == pytest.approx(-0.10)


def test_a_difference_within_a_coarse_resolution_turns_no_story_round():
    assert reversals(TRIALS, best_rates(TRIALS), resolution=0.01) != []
    assert reversals(TRIALS, best_rates(TRIALS), resolution=0.5) == []


def test_a_difference_within_the_noise_turns_no_story_round():
    trials = grid("a", {0.1: 0.900, 0.2: 0.95}) + grid("b", {0.1: 0.901, 0.2: 0.90})
    assert reversals(trials, best_rates(trials)) == []


def test_an_arm_with_other_rates_or_fewer_trials_is_named():
    assert unfair_grids(TRIALS) == []
    assert unfair_grids([]) == []
    (line,) = unfair_grids(TRIALS[:-1])
    assert line == "batch: runs per lr 0.001×3, 0.01×3, 0.1×2, but plain: 0.001×3, 0.01×3, 0.1×3"
