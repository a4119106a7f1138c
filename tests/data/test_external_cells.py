"""Labels of a second set in the classes of the first, and which of its cells train."""

from pathlib import Path

import numpy as np
import pytest
from helpers import make_cells

from alljax.data.external import ExternalOptions, adaptation, joined, mapped, read_labels
from alljax.errors import UserError
from alljax.evaluation import formatting

ROOT = Path('b')


def test_labels_are_mapped_by_table_and_else_by_name():
    ours = ('Blast cell', 'normal')
    assert mapped(('blast-cell', 'NORMAL', 'red cell'), ours, {}, ROOT) == {
        'blast-cell': 'Blast cell', 'NORMAL': 'normal'
    }  # fmt: skip
    table = {'Red_Cell': 'normal', 'NORMAL': ''}
    assert mapped(('blast-cell', 'NORMAL', 'red cell'), ours, table, ROOT) == {
        'blast-cell': 'Blast cell', 'red cell': 'normal'
    }  # fmt: skip
    with pytest.raises(UserError, match='have none in common'):
        mapped(('one', 'two'), ours, {}, ROOT)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('theirs,ours\na,blast\nb,\n', {'a': 'blast', 'b': ''}),
        ('theirs;ours\na;BLAST\n', {'a': 'blast'}),
        ('file,label\na,blast\n', "expected the header 'theirs,ours'"),
        ('theirs,ours\n', 'has no line below its header'),
        ('theirs,ours\na,blst\n', "a is said to be 'blst', did you mean 'blast'"),
        ('theirs,ours\na,blast\na,normal\n', 'a named in more than one line'),
        ('theirs,ours\na b,blast\nA-B,normal\n', 'a b and A-B are one label'),
    ],
)
def test_a_table_of_labels_is_read_or_told(tmp_path, text, expected):
    (tmp_path / 'labels.csv').write_text(text)
    if isinstance(expected, dict):
        assert read_labels(tmp_path / 'labels.csv', ('blast', 'normal')) == expected
        return
    with pytest.raises(UserError, match=expected):
        read_labels(tmp_path / 'labels.csv', ('blast', 'normal'))


@pytest.fixture
def cells():
    """60 cells of three classes in 20 groups."""
    return make_cells([0, 1, 2] * 20, groups=[n // 3 for n in range(60)], size=8)


@pytest.mark.parametrize('field', ['adapt_cells', 'adapt_groups'])
def test_a_larger_adaptation_holds_a_smaller_one_and_no_group_is_on_both_sides(cells, field):
    before = np.array([], int)
    for count in (0, 1, 3, 5):
        options = ExternalOptions('b', **{field: count})
        train, test = adaptation(cells, options, 4)
        assert set(before) <= set(train)
        assert not set(cells.groups[train]) & set(cells.groups[test])
        if field == 'adapt_cells':
            assert np.bincount(cells.labels[train], minlength=3).tolist() == [count] * 3
            assert len(set(cells.groups[train])) == count  # as few groups as there can be
        else:
            assert (len(set(cells.groups[train])), len(train) + len(test)) == (count, 60)
        before = train
    assert set(adaptation(cells, ExternalOptions('b', **{field: 3}), 5)[0]) != set(
        adaptation(cells, ExternalOptions('b', **{field: 3}), 4)[0]
    )
    with pytest.raises(UserError, match=f'config.test.{field} leaves no cell'):
        adaptation(cells, ExternalOptions('b', **{field: 20}), 4)


def test_joined_cells_keep_both_sets_apart(cells):
    mine = make_cells([0, 1, 2], groups=[0, 0, 1], size=8, repeats=[0, 0, -1])
    both = joined(mine, cells.take(np.array([5, 7])))
    assert both.names == (*mine.names, 'external:005.png', 'external:007.png')
    assert [both.group_names[group] for group in both.groups[3:]] == ['external:group1', 'external:group2']
    assert both.repeats.tolist() == [0, 0, -1, -1, -1]
    assert both.labels.tolist() == [0, 1, 2, 2, 1]
    assert both.origin.fingerprint not in (
        mine.origin.fingerprint,
        joined(mine, cells.take(np.array([5]))).origin.fingerprint,
    )
    np.testing.assert_array_equal(both.images[3:], cells.images[[5, 7]])
    assert formatting.set_name(mine.origin.name, mine.origin.root) == 'nowhere'
