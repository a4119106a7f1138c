"""What an audit of many cells rests on: the parts that keep its time and memory in proportion give exact results."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from alljax.data import synthetic
from alljax.data.audit import nearest_points, overlays, unrolled
from alljax.data.audit.measurements import COARSE, density, detail, measure_files, small_images
from alljax.errors import UserError


@pytest.mark.parametrize('count', [1, 7, 300])
def test_the_nearest_points_are_those_of_all_distances(monkeypatch, count):
    monkeypatch.setattr(nearest_points, 'ROWS', 16)
    monkeypatch.setattr(nearest_points, 'TILE', 32)
    points = np.random.default_rng(0).normal(0, 1, (count, 5)).astype(np.float32)
    points[count // 2 :: 3] = points[0]  # several at the same place
    apart = ((points[:, None].astype(float) - points) ** 2).sum(2)
    expected = np.sort(apart, 1)[:, :9]
    found = nearest_points.nearest_points(points, 9)
    assert all(len(set(row)) == min(9, count) for row in found.tolist())
    np.testing.assert_array_equal(np.take_along_axis(apart, found, 1), expected)


def test_neighborhoods_are_those_of_a_filter():
    values = np.random.default_rng(0).integers(0, 256, (3, 9, 7), np.uint8)
    for name, chosen in (('maximum_filter', np.maximum), ('minimum_filter', np.minimum)):
        expected = np.stack([getattr(ndimage, name)(channel, 3) for channel in values])
        np.testing.assert_array_equal(overlays._around(values, chosen), expected)
    mask = values[0] > 220
    grown = overlays._around(mask, np.maximum)
    np.testing.assert_array_equal(grown, ndimage.binary_dilation(mask, np.ones((3, 3))))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """40 drawn cells, more than are measured together."""
    root, slide = tmp_path_factory.mktemp('cells'), synthetic.slide(0, 1)
    for number in range(40):
        image = synthetic.draw('normal', slide, np.random.default_rng(number), 64).image
        Image.fromarray(image).save(root / f'{number:02}.png')
    return root


def test_of_a_cell_few_numbers_are_held_and_its_views_come_back(folder):
    files = sorted(path.name for path in folder.iterdir())
    measured = measure_files(folder, files)
    arrays = [*measured.unrolled.strengths, *(column for column in measured if isinstance(column, np.ndarray))]
    assert sum(array.nbytes for array in arrays) < 3000 * len(files)
    chosen = np.array([35, 2, 35])
    pixels = [np.asarray(Image.open(folder / files[cell])) for cell in chosen]
    coarse = [density(one, COARSE) for one in pixels]
    expected = unrolled.views(np.stack([detail(one, (64, 64)) for one in coarse]), np.stack(coarse).astype(np.float16))
    for found, view in zip(measured.unrolled.harmonics(chosen), expected, strict=True):
        np.testing.assert_allclose(found, view, atol=1e-4)


def test_no_cache_is_needed(folder, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(folder / '00.png' / 'cache'))  # in a file no folder can be made
    assert measure_files(folder, ['00.png', '01.png']).unrolled.harmonics(np.array([1]))[0].shape == (1, 17, 65)


def test_a_picture_that_is_gone_when_it_is_compared_is_told(folder):
    with pytest.raises(UserError, match=r'no\.png: does not exist'):
        small_images(folder, 'no.png')
