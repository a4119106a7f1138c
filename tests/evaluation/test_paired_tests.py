import numpy as np
import pytest
from scipy import stats

from alljax.evaluation import paired_tests


def test_mcnemar_counts_what_only_one_got_right():
    first = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1, 1], bool)
    second = np.array([1, 1, 0, 0, 0, 0, 1, 0, 0, 0], bool)
    found = paired_tests.mcnemar(first, second)
    assert (found.only_first, found.only_second) == (6, 1)
    assert found.p == pytest.approx(2 * (1 + 7) / 2**7)  # of 7 throws of a coin, 6 or more, either way
    assert paired_tests.mcnemar(second, first).p == found.p
    assert paired_tests.mcnemar(first, first) == (0, 0, 1.0)


def test_the_corrected_t_test_by_hand():
    differences = np.array([0.02, 0.04, 0.0, 0.06, 0.03])
    found = paired_tests.corrected_t_test(differences, 0.25)
    variance = ((differences - 0.03) ** 2).sum() / 4
    t = 0.03 / np.sqrt((1 / 5 + 0.25) * variance)
    assert found.t == pytest.approx(t) == pytest.approx(2)
    assert found.degrees_of_freedom == 4
    assert found.p == pytest.approx(0.1161, abs=5e-5)  # of a table of t


def test_without_overlap_it_is_the_plain_t_test():
    differences = np.random.default_rng(0).normal(0.1, 1, 20)
    plain = stats.ttest_1samp(differences, 0)
    found = paired_tests.corrected_t_test(differences, 0.0)
    assert (found.t, found.p) == (pytest.approx(plain.statistic), pytest.approx(plain.pvalue))
    assert paired_tests.corrected_t_test(differences, 0.25).p > found.p


def test_folds_that_do_not_differ():
    assert paired_tests.corrected_t_test(np.zeros(5), 0.25).p == 1
    assert paired_tests.corrected_t_test(np.full(5, 0.1), 0.25).p == 0
    with pytest.raises(ValueError, match='1 folds have no variance'):
        paired_tests.corrected_t_test(np.array([0.1]), 0.25)


def test_holm_by_hand():
    assert paired_tests.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired_tests.holm([0.6, 0.7]) == [1.0, 1.0]
    assert paired_tests.holm([]) == []
