import pytest

from bnexp.analysis.statistics.multiplicity import benjamini_hochberg, holm

P_VALUES = [0.01, 0.04, 0.03, 0.005]


def test_holm_multiplies_the_smallest_by_the_number_of_claims_and_never_falls():
    assert holm(P_VALUES) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_hochberg_multiplies_by_the_number_of_claims_over_the_rank():
    assert benjamini_hochberg(P_VALUES) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_one_claim_is_left_alone_and_none_is_none():
    assert holm([0.03]) == [0.03]
    assert holm([]) == []
