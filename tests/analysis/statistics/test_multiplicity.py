import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from bnexp.analysis.statistics.multiplicity import benjamini_hochberg, holm

P_VALUES = [0.01, 0.04, 0.03, 0.005]


def test_holm_multiplies_the_smallest_by_the_number_of_claims_and_never_falls():
    assert holm(P_VALUES) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_hochberg_multiplies_by_the_number_of_claims_over_the_rank():
    assert benjamini_hochberg(P_VALUES) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_both_are_statsmodels():
    p_values = np.random.default_rng(0).random(30) ** 3
    assert holm([*p_values]) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert benjamini_hochberg([*p_values]) == pytest.approx(multipletests(p_values, method="fdr_bh")[1])


def test_one_claim_is_left_alone_and_none_is_none():
    assert holm([0.03]) == [0.03]
    assert holm([]) == []
    assert benjamini_hochberg([]) == []
