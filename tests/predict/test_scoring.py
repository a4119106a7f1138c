"""Predictions scored by the class folders, against measures computed by hand."""

from pathlib import Path

import numpy as np
import pytest

from alljax.data.class_folders import KnownCell, KnownCells
from alljax.evaluation import intervals
from alljax.predict import Row, scoring
from alljax.runs.own_cells import OwnCells

CLASSES = ('blast', 'normal', 'other')
# label, prediction, group: 4 of 6 right; recall of blast 2/4, of normal 2/2
CELLS = [('blast', 0, 's1'), ('blast', 0, 's1'), ('blast', 1, 's2'), ('blast', 2, 's2'), ('normal', 1, 's3'),
         ('normal', 1, 's3')]  # fmt: skip


def shares(place):
    return np.where(np.arange(3) == place, 0.8, 0.1)


def made(grouping='patient or slide', others=None, own=None, cells=CELLS):
    rows = [Row(f'/set/{n}.png', shares(place), label=label) for n, (label, place, _) in enumerate(cells)]
    known = {Path(f'/set/{n}.png'): KnownCell(label, group) for n, (label, _, group) in enumerate(cells)}
    known[Path('/set/broken.png')] = KnownCell('blast', 's1')
    rows += [Row('/set/broken.png', None, error='damaged', label='blast'), Row('/set/loose.png', shares(1))]
    return scoring.scored(rows, CLASSES, KnownCells(known, grouping, others or {}, ()), own)


def test_measures_are_those_of_the_rows_of_known_class():
    found = made()
    assert found.test['n'] == 6
    assert found.test['accuracy'] == pytest.approx(4 / 6)
    assert found.test['macro_recall'] == pytest.approx((2 / 4 + 2 / 2) / 2)  # `other` has no cells
    assert found.test['mean_confidence'] == pytest.approx(0.8)
    assert found.test['confusion']['matrix'] == [[2, 1, 1], [0, 2, 0], [0, 0, 0]]
    assert (found.groups, found.unread) == (3, 1)


def test_a_picture_counts_once_however_often_it_is_named():
    once = made()
    rows = [Row(f'/set/{n}.png', shares(place), label=label) for n, (label, place, _) in enumerate(CELLS)]
    again = [row._replace(file=row.file.replace('/set/', '/set/../set/')) for row in rows[:2]]
    known = {Path(row.file): KnownCell(row.label, group) for row, (*_, group) in zip(rows, CELLS, strict=True)}
    known |= {Path(row.file): known[Path(row.file.replace('../set/', ''))] for row in again}
    cells = KnownCells(known, 'patient or slide', {}, ())
    found = scoring.scored([*rows, rows[4], *again], CLASSES, cells, None)
    assert found.test == once.test
    assert (found.groups, found.unread, found.again) == (3, 0, 3)
    assert 'Scored once, though named more than once: 3 lines' in ' '.join(scoring.sentences(found))
    assert 'once' not in ' '.join(scoring.sentences(once))


def test_the_interval_is_over_slides_and_wilson_s_where_these_are_unknown():
    found, rng = made(), np.random.default_rng(0)
    right, total = np.array([2, 0, 2]), np.array([2, 2, 2])
    drawn = rng.multinomial(3, np.full(3, 1 / 3), size=2000)
    expected = np.quantile((drawn @ right) / (drawn @ total), [0.025, 0.975])
    np.testing.assert_allclose(found.interval, expected)
    assert 'over 3 groups (patients or slides)' in ' '.join(scoring.sentences(found))
    alone = made('unknown')
    assert alone.interval == intervals.wilson(4, 6)
    assert 'slides are unknown' in ' '.join(scoring.sentences(alone))
    alike = made(cells=CELLS[:2])
    assert alike.interval == intervals.wilson(2, 2)
    assert 'all cells are of one group' in ' '.join(scoring.sentences(alike))


def test_cells_that_made_the_model_are_told_and_test_cells_are_not():
    tested = {f'{n}.png': 'blast' for n in range(6)}
    said = {
        'outside': made(own=OwnCells(Path('/elsewhere'), tested, False)),
        'tested': made(own=OwnCells(Path('/set'), tested, False)),
        'half': made(own=OwnCells(Path('/set'), {'0.png': 'blast'}, False)),
        'all': made(own=OwnCells(Path('/set'), tested, True)),
    }
    words = {name: ' '.join(scoring.sentences(found)) for name, found in said.items()}
    assert words['outside'].count('It was not checked') == 1  # the data set is not there
    assert 'not checked' not in words['tested']
    assert 'Leaky' not in words['outside'] + words['tested']
    assert 'Leaky: 5 of 6 of these pictures' in words['half']
    assert 'Leaky: all of these pictures' in words['all']


def test_what_was_not_scored_is_told():
    words = ' '.join(scoring.sentences(made(others={'huge': 3, 'beside the class folders': 1})))
    assert 'no folder or table names a class of the model for them: huge 3, beside the class folders 1.' in words
    assert 'could not be read: 1.' in words
    assert 'Not scored, since no folder' not in ' '.join(scoring.sentences(made()))


def test_the_table_of_a_terminal_has_the_counts_under_their_classes():
    assert scoring.table(made()) == [
        'true \\ predicted  blast  normal  other',
        'blast                 2       1      1',
        'normal                0       2      0',
    ]


def test_rows_without_a_class_have_no_score():
    rows = [Row('a.png', shares(0)), Row('b.png', None, error='damaged', label='blast')]
    assert scoring.scored(rows, CLASSES, KnownCells({}, 'unknown', {}, ()), None) is None
