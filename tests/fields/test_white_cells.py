"""White cells of a field: all of them, each once, by its whole box, wherever the tiles are cut."""

import numpy as np
import painted_field as painted
import pytest

from alljax.data.picture import ImageError
from alljax.fields import boxes, field_image, tiles
from alljax.storage import progress_bar


@pytest.fixture(scope='module')
def pixels():
    return painted.field()


@pytest.fixture(scope='module')
def whole(pixels):
    return tiles.find(field_image.from_pixels(pixels))


def test_every_cell_is_found_once_and_no_platelet_or_red_cell(whole):
    away = np.hypot(*(whole.found.centers[:, None] - painted.CENTERS).transpose(2, 0, 1))
    assert len(whole.found.centers) == len(painted.CENTERS)
    assert away.min(0).max() < painted.WHITE / 8


def test_a_box_is_of_the_whole_cell(whole):
    side = np.where(np.isin(np.arange(len(painted.CENTERS)), (1, 2)), painted.SMALL, painted.WHITE)[:, None]
    truth = np.concatenate([painted.CENTERS - side / 2, np.repeat(side, 2, 1)], 1)
    assert boxes.iou(truth, whole.found.boxes).max(1).min() > 0.75
    assert np.allclose(whole.found.centers, boxes.centers_of(whole.found.boxes))
    assert ((whole.found.confidences > 0) & (whole.found.confidences < 1)).all()


def test_the_scale_is_told_by_the_red_cells_and_said(whole):
    assert whole.scale.cell_pixels == pytest.approx(painted.WHITE, rel=0.1)
    assert f'estimated from {whole.scale.red_cells} red cells' in whole.scale.said()


@pytest.mark.parametrize('side', [73, 131])
def test_tiles_cut_anywhere_give_the_same_cells(pixels, whole, side):
    told = []
    with progress_bar.heard_by(told.append):
        cut = tiles.find(field_image.from_pixels(pixels), whole.scale.cell_pixels, side=side)
    assert np.array_equal(cut.found.boxes, whole.found.boxes)
    assert np.allclose(cut.found.confidences, whole.found.confidences)
    last = told[-1] if told else progress_bar.Stage('tiles')  # few tiles are not counted
    assert last.done == last.total
    assert bool(told) == (side == 73)


def test_a_part_of_a_field_gives_the_cells_that_are_in_it(pixels, whole):
    scale = whole.scale.cell_pixels
    part = tiles.find(field_image.from_pixels(pixels[:, 195:]), scale)
    kept = whole.found.centers[:, 0] > 195 + painted.WHITE / 2
    assert np.abs(part.found.centers + np.array([195, 0]) - whole.found.centers[kept]).max() < 3


def test_no_white_cell_is_an_answer():
    assert len(tiles.find(field_image.from_pixels(painted.field(np.zeros((0, 2))))).found.centers) == 0


@pytest.mark.parametrize('level', [0, 128, 255])
def test_a_field_without_color_is_refused(level):
    grey = np.full((300, 400, 3), level, np.uint8)
    with pytest.raises(ImageError, match='shows no color, by which white cells are told from red ones'):
        tiles.find(field_image.from_pixels(grey))


def test_without_red_cells_the_scale_must_be_given():
    generator = np.random.default_rng(1)
    empty = (np.array(painted.LIGHT) + generator.normal(0, 3, (300, 400, 3))).astype(np.uint8)
    field = field_image.from_pixels(empty)
    with pytest.raises(ImageError, match='give the diameter of a white cell with --cell_pixels'):
        tiles.find(field)
    given = tiles.find(field, 70.0)
    assert len(given.found.centers) == 0
    assert given.scale.said() == 'a white cell is 70 pixels wide, as given'
    with pytest.raises(ImageError, match='is 400 × 300 pixels, expected a white cell of 12 pixels to the shorter side'):
        tiles.find(field, 5.0)


def test_one_huge_clump_is_no_cell(pixels):
    clump = pixels.copy()
    painted.disk(clump, 240, 130, 250, painted.NUCLEUS)
    inside = tiles.find(field_image.from_pixels(clump), float(painted.WHITE)).found
    assert (np.hypot(*(inside.centers - (240, 130)).T) > 125).all()


def test_white_cells_that_outnumber_the_red_ones_are_not_taken_for_them():
    generator = np.random.default_rng(2)
    places = [(x, y) for y in range(45, 260, 85) for x in range(45, 480, 95)]
    cells = np.array(places, float) + generator.integers(-8, 9, (len(places), 2))
    crowded = tiles.find(field_image.from_pixels(painted.field(cells)))
    assert crowded.scale.cell_pixels == pytest.approx(painted.WHITE, rel=0.1)
    assert len(crowded.found.centers) == len(cells)
