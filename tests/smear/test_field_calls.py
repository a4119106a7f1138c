"""The call of a field against its label: any blast, or a share of blasts that was chosen on other groups."""

import numpy as np
import pytest

from alljax.smear import field_calls
from alljax.smear.field_calls import CountedField


def fields(blast_shares, normal_shares, a_group=2):
    counts = [(True, share) for share in blast_shares] + [(False, share) for share in normal_shares]
    return [
        CountedField(f'{n}.png', f'slide {n // a_group}', is_blast, round(10 * share), 10)
        for n, (is_blast, share) in enumerate(counts)
    ]


def test_any_blast_calls_a_field_and_a_share_chosen_on_other_folds_does_better_with_a_few_wrong_cells():
    some = fields([0.6, 0.7, 0.5, 0.8, 0.6, 0.9], [0.1, 0.2, 0.1, 0.2, 0.1, 0.1])
    by_any, by_share = field_calls.agreements(some)
    assert (by_any.accuracy, by_any.sensitivity[0], by_any.specificity[0]) == (0.5, 1, 0)
    assert by_share.accuracy == 1
    assert all(0.2 < threshold <= 0.55 for threshold in by_share.thresholds)
    assert 0 < by_share.interval[0] < by_share.interval[1] == 1  # Wilson's, where no group differs from another
    assert 'chosen on the other of 3 folds by group' in field_calls.lines([by_any, by_share])[-1]


def test_a_threshold_is_never_chosen_on_the_field_that_it_calls():
    """The one odd group would move the threshold to its own share, if it had a say in it."""
    some = fields([0.9, 0.9, 0.9, 0.9, 0.3, 0.3], [0.4, 0.4, 0.1, 0.1, 0.1, 0.1])
    calls = field_calls.by_share(some)
    odd = [place for place, field in enumerate(some) if field.group == 'slide 2']
    assert len(set(np.array(calls.thresholds).tolist())) > 1
    assert not calls.called[odd].all()


def test_without_two_groups_of_either_label_no_threshold_is_chosen():
    few = fields([0.6, 0.7], [0.1, 0.2])
    (only,) = field_calls.agreements(few)
    assert only.rule == 'any blast'
    assert 'no threshold on the share of blasts was chosen' in field_calls.lines([only])[-1]
    assert field_calls.agreements([]) == []


def test_a_field_without_counted_cells_has_no_blast():
    empty = CountedField('a.png', 'a', is_blast=True, blasts=0, cells=0)
    assert (empty.share, field_calls.by_any([empty]).called.tolist()) == (0.0, [False])
    assert field_calls.best_threshold(np.array([0.1, 0.5]), np.array([False, True])) == pytest.approx(0.3)
