"""Drawn fields: the truth beside the pixels, ALL-IDB1's layout, and the way from them to crops."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from alljax.data.synthetic import slide
from alljax.data.synthetic.field_folder import plan_fields, write_fields
from alljax.data.synthetic.field_layout import free_corner
from alljax.data.synthetic.fields import draw_field
from alljax.errors import UserError

SIZE = (480, 360)


@pytest.fixture(scope='module')
def drawn():
    """A field with blasts."""
    return draw_field(slide(3, 1), 'L2', np.random.default_rng(5), SIZE)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two fields, one with blasts."""
    out = tmp_path_factory.mktemp('drawn') / 'set'
    write_fields(out, 2, 4, SIZE)
    return out / 'ALL_IDB1'


def rows(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_the_truth_is_where_the_cells_are(drawn):
    assert drawn.image.shape == (360, 480, 3)
    assert drawn.cells.shape == (360, 480)
    assert len(drawn.kinds) == len(drawn.boxes) == len(drawn.centers) == drawn.cells.max() > 1
    assert 'L2' in drawn.kinds
    for number, (box, center) in enumerate(zip(drawn.boxes, drawn.centers, strict=True), 1):
        y, x = np.nonzero(drawn.cells == number)
        assert (x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1) == tuple(box)
        assert label(drawn.cells == number)[1] == 1
        np.testing.assert_allclose(center, (x.mean() + 0.5, y.mean() + 0.5))
    red = drawn.image[..., 0].astype(float)
    inside = red[drawn.cells > 0].mean()
    assert inside < red[drawn.cells == 0].mean() - 25  # white cells take the most red light


@pytest.mark.parametrize('seed', range(5))
def test_a_touching_cell_is_brought_up_to_its_neighbor_and_others_keep_apart(seed):
    y, x = np.mgrid[:700, :700].astype(np.float32)
    white = np.minimum(np.hypot(y - 350, x - 350) - 50, 60)
    cell = (np.hypot(y[:120, :120] - 60, x[:120, :120] - 60) - 40).astype(np.float32)
    inner = (slice(128, 572), slice(128, 572))
    for touching in (False, True):
        row, column = free_corner(cell, white, inner, touching, np.random.default_rng(seed))
        gap = np.hypot(row + 60 - 350, column + 60 - 350) - 90
        assert -10 < gap < 0 if touching else gap > 4
    assert free_corner(cell, np.full_like(white, -50), inner, False, np.random.default_rng(seed)) is None


def test_a_field_depends_on_its_seed_alone(drawn):
    again, other = (draw_field(slide(3, 1), 'L2', np.random.default_rng(seed), SIZE) for seed in (5, 6))
    assert all(np.array_equal(one, other) for one, other in zip(drawn, again, strict=True))
    assert not np.array_equal(drawn.image, other.image)


def test_the_folder_is_laid_out_like_all_idb1(folder):
    assert sorted(path.name for path in (folder / 'im').iterdir()) == ['Im001_1.jpg', 'Im002_0.jpg']
    boxes = rows(folder / 'boxes.csv')
    assert {row['field'] for row in boxes} == {'im/Im001_1.jpg', 'im/Im002_0.jpg'}
    for name, blasts in (('Im001_1', True), ('Im002_0', False)):
        centers = (folder / 'xyc' / f'{name}.xyc').read_text().split()
        ours = [row for row in boxes if row['field'] == f'im/{name}.jpg']
        assert len(centers) == 2 * sum(row['label'] in ('L1', 'L2', 'L3') for row in ours)
        assert bool(centers) == blasts
        mask = Image.open(folder / 'masks' / f'{name}.png')
        assert mask.mode == 'I;16'
        numbers = np.asarray(mask)
        for number, row in enumerate(ours, 1):
            left, top, width, height = (int(row[side]) for side in ('left', 'top', 'width', 'height'))
            assert (numbers[top : top + height, left : left + width] == number).sum() == (numbers == number).sum() > 0
    assert [row['group'] for row in rows(folder / 'groups.csv')] == ['slide01', 'slide02']
    about = json.loads((folder / 'synthetic.json').read_text())
    assert (about['fields'], about['width'], about['height'], about['seed']) == (2, 480, 360, 4)


def test_slides_hold_fields_with_blasts_or_without():
    planned = plan_fields(40, 0)
    assert sum(bool(field.blasts) for field in planned) == 18
    assert {field.blasts for field in planned} == {'L1', 'L2', 'L3', ''}
    for number in {field.slide for field in planned}:
        assert len({field.blasts for field in planned if field.slide == number}) == 1
    assert planned[-1].name == 'Im040_0'


def test_what_cannot_be_drawn_is_refused(tmp_path):
    for fields, seed, size, words in (
        (0, 0, SIZE, '0 fields are too few'),
        (2, -1, SIZE, 'seed -1 is negative'),
        (2, 0, (100, 480), r'--field_size 100x480: expected 256 to 8192'),
    ):
        with pytest.raises(UserError, match=words):
            write_fields(tmp_path / 'out', fields, seed, size)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine').touch()
    with pytest.raises(UserError, match='exists and is not an empty folder'):
        write_fields(tmp_path / 'out', 2, 0, SIZE)
