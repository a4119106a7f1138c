"""Pictures that are unlike a model's training cells, on drawn cells."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from alljax.data import image, training_likeness
from alljax.data.augment import Augmentation
from alljax.data.datasets import DataOptions, load
from alljax.data.protocol import add_copies


@pytest.fixture(scope='module')
def cells():
    return load(DataOptions('synthetic', size=96, cells=48), seed=0)


@pytest.fixture(scope='module')
def known(cells):
    return training_likeness.of_cells(cells, np.arange(0, len(cells), 2))


def field(cells, count=6):
    """Many cells in one picture, at the scale of a whole field."""
    rows = [np.concatenate(list(cells.images[start : start + count]), 1) for start in range(0, count**2, count)]
    return image.to_square(np.concatenate(rows), 96)


def test_the_sizes_of_the_files_come_with_the_cells(cells):
    paths = [next(Path(cells.origin.root).rglob(name)) for name in cells.names]
    np.testing.assert_array_equal(cells.sizes, [Image.open(path).size for path in paths])
    assert len(np.unique(cells.sizes)) > 1  # some are cut by the border
    np.testing.assert_array_equal(cells.take(np.array([3, 1])).sizes, cells.sizes[[3, 1]])
    grown = add_copies(cells, np.arange(48), np.array([30] * len(cells.classes)), Augmentation(), 0)
    assert grown.sizes.shape == (len(grown), 2)


def test_cells_that_were_not_seen_are_like_those_that_were(cells, known):
    assert known.cells == 24
    assert (known.width[1:], known.height[1:]) == ((257.0, 257.0),) * 2
    told = [training_likeness.reasons(cells.images[place], (257, 257), known) for place in range(1, 48, 2)]
    assert sum(map(bool, told)) <= 3, told


def test_sizes_far_from_those_of_training_are_told(cells, known):
    for size, told in (((257, 257), False), ((360, 363), False), ((200, 180), False), ((1440, 900), True),
                       ((120, 120), True), ((257, 900), True)):  # fmt: skip
        reason = training_likeness.reasons(cells.images[0], size, known)
        assert (f'{size[0]} × {size[1]} pixels, where training cells have 257 × 257' in reason) == told


def test_a_field_of_the_right_size_is_told_by_its_scale(cells, known):
    assert 'smaller than training cells (detail' in training_likeness.reasons(field(cells), (257, 257), known)
    part = image.to_square(cells.images[0][40:56, 40:56], 96)  # a part of one nucleus
    assert 'less dark in the middle' in training_likeness.reasons(part, (257, 257), known)
    blurred = np.asarray(Image.fromarray(cells.images[0]).filter(ImageFilter.GaussianBlur(20)))
    assert 'larger or less sharp' in training_likeness.reasons(blurred, (257, 257), known)


def test_a_picture_without_a_cell_in_its_middle_is_told(cells, known):
    pink = np.random.default_rng(0).normal((230, 200, 205), 3, (96, 96, 3)).clip(0, 255).astype(np.uint8)
    red = pink.copy()
    y, x = np.mgrid[:96, :96]
    for middle in ((12, 14), (80, 20), (15, 82), (84, 80)):
        red[np.hypot(y - middle[0], x - middle[1]) < 15] = (200, 120, 130)
    for picture in (pink, red, np.full((96, 96, 3), 200, np.uint8), np.zeros((96, 96, 3), np.uint8)):
        assert 'less dark in the middle' in training_likeness.reasons(picture, (257, 257), known)


def test_a_vignette_is_no_object():
    y, x = np.mgrid[:96, :96] / 96 - 0.5
    light = 240 * np.exp(-1.5 * (x**2 + y**2) + 0.3 * x)
    picture = np.repeat(light[..., None], 3, 2).astype(np.uint8)
    assert abs(training_likeness.look(picture).contrast) < 0.03


def test_what_is_not_known_is_called_so(cells):
    assert training_likeness.reasons(cells.images[0], (9, 9), None) == 'unknown'
    assert training_likeness.of_cells(replace(cells, sizes=None), np.arange(3)) is None
    assert training_likeness.of_cells(cells, np.arange(0)) is None


def test_any_size_can_be_measured():
    for side in (1, 2, 31, 300):
        assert np.isfinite(training_likeness.look(np.full((side, side, 3), 90, np.uint8))).all()
    assert np.isfinite(training_likeness.look(np.asarray(Image.effect_noise((40, 40), 90).convert('RGB')))).all()
