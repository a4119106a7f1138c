"""Maps that ring the border, and what the page says beside them of the training cells."""

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers import make_cells

from alljax.data.audit.shortcuts import Shortcut
from alljax.data.split import Split
from alljax.explain import border
from alljax.explain.page import shortcut_sentences
from alljax.runs import training_shortcuts
from alljax.runs.run_cells import RunCells
from alljax.runs.training_shortcuts import TrainingShortcuts

SIDE = 50
Y, X = np.mgrid[:SIDE, :SIDE]
EDGE = np.minimum.reduce([Y, X, SIDE - 1 - Y, SIDE - 1 - X]) < 5  # the outer tenth


def test_an_even_map_has_its_area_in_the_ring_and_does_not_ring():
    even = np.ones((SIDE, SIDE), np.float32)
    assert border.even_share(SIDE) == pytest.approx(0.36)
    assert border.share_in_ring(even) == pytest.approx(0.36, abs=1e-6)
    assert not border.rings(even)
    assert border.even_share(13) == pytest.approx(1 - (11 / 13) ** 2)


@pytest.mark.parametrize(('share', 'expected'), [(0.50, False), (0.52, True), (1.0, True), (0.0, False)])
def test_a_map_rings_from_the_margin_on_whatever_its_sign(share, expected):
    found = np.where(EDGE, share / EDGE.sum(), (1 - share) / (~EDGE).sum())
    assert border.share_in_ring(found) == pytest.approx(share)
    assert border.rings(found) == border.rings(-found) == expected


def test_an_empty_map_does_not_ring():
    empty = np.zeros((SIDE, SIDE))
    assert math.isnan(border.share_in_ring(empty))
    assert not border.rings(empty)


def cells_with_border(colored):
    """Noise of two classes on eight slides each, some of it tested; with `colored` the border of one class is dark."""
    cells = make_cells([0, 1] * 16, groups=np.arange(32) // 4 + 8 * (np.arange(32) % 2), size=32)
    images = np.random.default_rng(0).integers(0, 256, cells.images.shape, np.uint8)
    if colored:
        images[1::2, :8] = 10
    cells, index = replace(cells, images=images), np.arange(32)
    return RunCells(cells, cells, Split(index[:28], index[:0], index[28:], 'grouped'), None)


def test_the_border_of_training_cells_is_asked_as_the_audit_asks_it():
    (told, _), (untold, _) = (training_shortcuts.measured(cells_with_border(colored)) for colored in (True, False))
    assert told.name == untold.name == 'border'
    assert told.accuracy == 1
    assert told.says_the_label
    assert not untold.says_the_label
    assert training_shortcuts.sentence(told) == (
        'On the training cells, the border alone (the outer 8 pixels) tells the class: right in 100% (100% to 100%), '
        'by chance in 50%.'
    )
    assert 'does not tell the class' in training_shortcuts.sentence(untold)


def test_what_follows_is_said_where_it_follows():
    def one(name, low):
        return Shortcut(name, '', 0.6, (low, 0.7), 0.5, '')

    told = ' '.join(shortcut_sentences(TrainingShortcuts((one('border', 0.55), one('color', 0.4)))))
    assert 'without a look at the cell' in told
    untold = ' '.join(shortcut_sentences(TrainingShortcuts((one('border', 0.45), one('color', 0.55)))))
    assert 'without a look at the cell' not in untold
    assert 'So no shortcut in the border' in untold
    gone = shortcut_sentences(TrainingShortcuts((), '/cells: are gone'))
    assert gone == ['The training cells could not be asked whether their border tells the class: /cells: are gone.']
    single = Shortcut('border', '', None, None, 0.5, 'cannot be told: all of a is one group')
    assert 'cannot be told: all of a is one group' in training_shortcuts.sentence(single)
