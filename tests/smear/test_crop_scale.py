from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from helpers import make_cells

from alljax.data import training_likeness
from alljax.fields.crops import CELL_PIXELS
from alljax.smear import crop_scale
from alljax.smear.crop_scale import NOMINAL, Trial


@cache
def picture(radius, side=257):
    """A square with a dark disk whose radius is in parts of its side."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    return np.where((np.hypot(x, y) < radius)[..., None], (90, 40, 130), (230, 210, 220)).astype(np.uint8)


def known(radius):
    """The record of a model whose training cells had nuclei of about that radius."""
    images = np.stack([picture(radius * (0.9 + 0.01 * place)) for place in range(21)])
    cells = replace(make_cells([0] * 21), images=images, sizes=np.full((21, 2), 257, np.int32))
    found = training_likeness.of_cells(cells, np.arange(21))
    assert found.measurements
    return found


def trial(nucleus, own):
    """A cell whose nucleus has a radius of so many diameters."""
    return Trial(lambda side: picture(nucleus / side), own)


def test_crops_of_the_same_microscope_keep_their_scale():
    found = crop_scale.matched(known(0.2), [trial(0.4, 2.0)] * 3)
    assert found.side(cell_pixels=120.0, own=257) == 257
    assert 'own scale' in found.said


def test_crops_of_another_are_brought_to_the_size_of_the_training_cells():
    found = crop_scale.matched(known(0.2), [trial(0.4, 5.0)] * 3)
    assert found.side(cell_pixels=100.0, own=257) == pytest.approx(200, rel=0.1)


@pytest.mark.parametrize(
    ('pictures', 'trials', 'said'),
    [
        (None, [trial(0.4, 2.0)], 'does not tell'),
        (known(0.2)._replace(measurements=()), [trial(0.4, 2.0)], 'does not tell'),
        (known(0.2), [], 'no cell was found'),
        (known(0.3), [Trial(lambda side: np.full((257, 257, 3), 128, np.uint8), 2.0)], 'at none'),
    ],
)
def test_else_the_scale_is_all_idb2_s_and_the_reason_is_said(pictures, trials, said):
    found = crop_scale.matched(pictures, trials)
    assert found.side(cell_pixels=CELL_PIXELS, own=300) == pytest.approx(257)
    assert found.diameters == NOMINAL
    assert said in found.said
