"""What a config leaves to its cells: the number of folds."""

import pytest
from helpers import make_cells

from alljax.data.split import SplitOptions
from alljax.errors import UserError
from alljax.sweep import left_open


def folds(labels, groups, protocol='grouped'):
    return left_open.most_folds(make_cells(labels, groups, size=8), SplitOptions(protocol), 0)


def test_five_folds_or_as_many_as_the_groups_allow():
    labels = [0, 1] * 20
    assert folds(labels, [n // 4 for n in range(40)]) == 5
    assert folds(labels, [n // 16 for n in range(40)]) == 3  # of three slides
    assert folds([0] * 6 + [1] * 3, None) == 3  # of three cells of the rarest class, each alone
    with pytest.raises(UserError, match='cannot be split so that every class is on both sides'):
        folds([0] * 8 + [1] * 4, [n // 4 for n in range(12)])  # all of one class on one slide
    with pytest.raises(UserError, match='class1 has a single cell, and a model is tested on cells that it has not'):
        folds([0] * 5 + [1], None)
    with pytest.raises(UserError, match=r'all 8 cells are of one slide or patient \(group0\), .* two are needed at'):
        folds([0, 1] * 4, [0] * 8)
