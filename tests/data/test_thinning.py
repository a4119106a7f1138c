"""Training sides cut for learning curves."""

import numpy as np
import pytest
from helpers import make_cells

from alljax.data.split import SplitOptions, split

CELLS = make_cells([n // 20 for n in range(60)], groups=[n // 4 for n in range(60)], size=8)  # 5 groups of each class


def trained(**options):
    return split(CELLS, SplitOptions(folds=5, fold=1, **options), 3)


@pytest.mark.parametrize(('field', 'counts'), [('train_groups', (1, 2, 4)), ('train_cells', (1, 3, 9, 16))])
def test_a_larger_training_side_holds_the_smaller_ones(field, counts):
    whole, before = trained(), set()
    for count in counts:
        parts = trained(**{field: count})
        assert before < set(parts.train) <= set(whole.train)
        np.testing.assert_array_equal(parts.test, whole.test)
        for label in range(3):
            members = parts.train[CELLS.labels[parts.train] == label]
            held = len(members) if field == 'train_cells' else len(set(CELLS.groups[members]))
            assert held == count
            assert field == 'train_cells' or len(members) == 4 * count  # whole groups
        before = set(parts.train)
    assert before == set(whole.train)


def test_repetitions_draw_others_and_both_limits_go_together():
    first, second = (set(trained(train_cells=3, repeat=repeat).train) for repeat in (0, 1))
    assert first != second
    parts = trained(train_groups=2, train_cells=3)
    assert np.bincount(CELLS.labels[parts.train]).tolist() == [3, 3, 3]
    assert len(set(CELLS.groups[parts.train])) <= 6
