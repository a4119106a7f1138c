from pathlib import Path

import numpy as np
import pytest

from alljax.fields.field_search import SearchedField
from alljax.predict import Row
from alljax.smear import differential
from alljax.smear.found_cells import FoundCell

FIELD = SearchedField(Path('a.png'), 'a')
CLASSES = ('L1', 'L2', 'normal')


def cell(shares, **more):
    row = Row('x', None if shares is None else np.array(shares, float), **more)
    return FoundCell(1, FIELD, (0, 0, 10, 10), 'x', row)


CELLS = [
    *[cell([0.7, 0.2, 0.1])] * 3,
    cell([0.1, 0.6, 0.3], answer='uncertain'),
    *[cell([0, 0, 1])] * 6,
    *[cell([1, 0, 0], unlike='larger than training cells')] * 2,
    cell(None, error='is damaged'),
]


def test_shares_are_of_the_cells_that_are_like_the_training_cells():
    found = differential.of_cells(CELLS, CLASSES)
    assert (found.counted, found.unlike, found.unread) == (10, 2, 1)
    assert [(one.name, one.cells, one.share, one.uncertain) for one in found.shares] == [
        ('L1', 3, 0.3, 0), ('L2', 1, 0.1, 1), ('normal', 6, 0.6, 0),
    ]  # fmt: skip
    assert found.shares[0].interval == pytest.approx((0.1078, 0.6032), abs=1e-4)  # Wilson's of 3 in 10
    assert found.blasts
    assert (found.blasts.cells, found.blasts.share) == (4, 0.4)


def test_blasts_are_the_classes_that_the_user_names():
    found = differential.of_cells(CELLS, CLASSES, ['L2'])
    assert found.blasts
    assert found.blasts.cells == 1
    assert differential.of_cells(CELLS, CLASSES, []).blasts is None


@pytest.mark.parametrize(
    ('classes', 'blasts'),
    [
        (('blast', 'normal'), ['blast']),
        (('all', 'hem'), ['all']),
        (('basophil', 'lymphocyte'), []),
        (('MYO', 'MOB', 'MYB', 'EBO', 'LYT'), ['MYO', 'MOB']),
        (
            ('Myeloblast', 'erythroblast', 'proerythroblast', 'erythroblasts', 'lymphoblasts'),
            ['Myeloblast', 'lymphoblasts'],
        ),
        (('Early Pre-B', 'immature blast'), ['immature blast']),
    ],
)
def test_blasts_are_known_by_name(classes, blasts):
    assert differential.blast_classes(classes) == blasts


def test_without_cells_there_are_no_shares():
    found = differential.of_cells([], CLASSES)
    assert (found.counted, found.shares, found.blasts) == (0, (), None)
