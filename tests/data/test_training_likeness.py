"""Pictures that are unlike a model's training cells, on drawn cells."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.spatial.distance
from PIL import Image, ImageFilter

from alljax.data import image, training_likeness
from alljax.data.augment import Augmentation
from alljax.data.datasets import DataOptions, load
from alljax.data.protocol import add_copies
from alljax.errors import UserError
from alljax.storage.card import Card
from alljax.storage.training_pictures import Look


@pytest.fixture(scope='module')
def cells():
    return load(DataOptions('synthetic', size=96, cells=48), seed=0)


@pytest.fixture(scope='module')
def known(cells):
    return training_likeness.of_cells(cells, np.arange(0, len(cells), 2))


@pytest.fixture(scope='module')
def by_distance(known):
    """The distance alone: any detail and contrast will do."""
    return known._replace(detail=(-1e9, 1e9), contrast=(-1e9, 1e9))


NUCLEUS, PINK = (90, 60, 140), (230, 200, 205)


def disks(*places, colors=(NUCLEUS, NUCLEUS)):
    """Disks of (y, x, radius) on pink."""
    y, x = np.mgrid[:64, :64] + 0.5
    pixels = np.full((64, 64, 3), PINK, np.uint8)
    for (down, across, radius), color in zip(places, colors, strict=False):
        pixels[np.hypot(y - down, x - across) < radius] = color
    return pixels


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


def test_the_measurements_of_drawn_disks():
    seen = training_likeness.look(disks((32, 32, 12), (0, 50, 6)))
    assert seen.largest_dark == pytest.approx(np.pi * 12**2 / 64**2, rel=0.03)
    assert seen.dark_area == pytest.approx((np.pi * 12**2 + np.pi * 6**2 / 2) / 64**2, rel=0.03)
    assert seen.dark_border == 12 / (4 * 63)  # pixels of the upper row within 6 of its 50th
    red, green = (np.log((PINK[channel] + 8) / (NUCLEUS[channel] + 8)) for channel in (0, 1))
    assert seen.red_density == pytest.approx(red)
    assert seen.red_to_green == pytest.approx((red + 0.05) / (green + 0.05))
    pink = training_likeness.look(disks((32, 32, 12), colors=((200, 120, 130),)))
    assert pink.red_density == pytest.approx(np.log(238 / 208))
    assert pink.red_to_green < seen.red_to_green / 2


def test_the_distance_is_that_of_mahalanobis(cells, known):
    rows = np.array([training_likeness._scaled(training_likeness.look(pixels)) for pixels in cells.images[::2]])
    rows = rows[:, [Look._fields.index(name) for name in known.measurements]]

    def inverse(rows):
        covariance = np.cov(rows.T, bias=True)
        return np.linalg.inv(0.98 * covariance + 0.02 * np.diag(np.diag(covariance)))

    others = [np.delete(rows, place, 0) for place in range(len(rows))]
    distances = [scipy.spatial.distance.mahalanobis(row, rest.mean(0), inverse(rest))
                 for row, rest in zip(rows, others, strict=True)]  # fmt: skip
    assert known.distance == pytest.approx(np.percentile(distances, 99), rel=1e-6)
    new = training_likeness.look(cells.images[1])._replace(red_density=0.05)
    row = np.array([getattr(training_likeness._scaled(new), name) for name in known.measurements])
    expected = scipy.spatial.distance.mahalanobis(row, rows.mean(0), inverse(rows))
    (told,) = training_likeness.differences(new, known)
    assert told == (
        'looks unlike training cells: its middle takes less red light than theirs '
        f'(distance {expected:.2f}, theirs up to {known.distance:.2f})'
    )
    for times, far in ((1.04, False), (1.06, True)):
        assert bool(training_likeness.differences(new, known._replace(distance=expected / times))) == far


def test_the_distance_alone_tells_zoomed_cells_red_cells_and_wide_fields(cells, by_distance):
    def told(pictures):
        return np.mean([bool(training_likeness.reasons(pixels, (257, 257), by_distance)) for pixels in pictures])

    new = cells.images[1::2]
    assert told(new) <= 1 / 24
    assert told([image.to_square(pixels[32:64, 32:64], 96) for pixels in new]) > 0.9
    assert told([field(cells, count) for count in (2, 3, 6)]) == 1
    red = [disks((9, 40, 11), (40, 9, 12), colors=((200, 120, 130), (205, 125, 135)))]
    assert told([*red, np.zeros((96, 96, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)]) == 1
    pinker = cells.images[3].copy()
    pinker[..., 0] = pinker[..., 0].astype(float) * 0.5 + 0.5 * np.percentile(pinker[..., 0], 90)
    assert 'pinker than theirs (distance' in training_likeness.reasons(pinker, (257, 257), by_distance)


def test_few_cells_and_what_never_varies_give_no_distance(cells, known):
    assert not training_likeness.of_cells(cells, np.arange(19)).measurements
    assert 'dark_border' not in known.measurements  # of drawn cells no border is dark
    alike = replace(cells, images=np.repeat(cells.images[:1], 48, 0))
    same = training_likeness.of_cells(alike, np.arange(48))
    assert not same.measurements
    assert training_likeness.reasons(cells.images[0], (257, 257), same) == ''
    odd = cells.images[:1].repeat(48, 0)
    odd[7] = cells.images[9]  # without it, nothing varies
    one = training_likeness.of_cells(replace(cells, images=odd), np.arange(48))
    assert np.isfinite([one.distance, *one.mean, *one.deviation, *sum(one.inverse_correlation, ())]).all()
    assert 'nan' not in training_likeness.reasons(cells.images[5], (257, 257), one)


def test_a_card_keeps_the_distance_and_one_without_it_is_judged_by_its_ranges(cells, known, tmp_path):
    card = Card(('a', 'b'), system={}, pictures=known)
    values = json.loads(json.dumps(card.to_json()))
    assert Card.from_json(values, tmp_path).pictures == known
    for name in ('measurements', 'mean', 'deviation', 'inverse_correlation', 'distance'):
        del values['pictures'][name]
    earlier = Card.from_json(values, tmp_path).pictures
    assert earlier == known._replace(measurements=(), mean=(), deviation=(), inverse_correlation=(), distance=0.0)
    reason = training_likeness.reasons(field(cells), (257, 257), earlier)
    assert 'smaller than training cells (detail' in reason
    assert 'distance' not in reason


def test_a_damaged_distance_is_named(known, tmp_path):
    for change, words in (
        ({'mean': known.mean[1:]}, f'for pictures.mean, expected {len(known.mean)} finite numbers'),
        ({'deviation': (0.0,) * len(known.mean)}, 'for pictures.deviation, expected numbers above 0'),
        ({'inverse_correlation': known.inverse_correlation[1:]}, 'rows for pictures.inverse_correlation'),
        ({'measurements': ('hue', *known.measurements[1:])}, "has ['hue'] for pictures.measurements"),
        ({'distance': float('nan')}, 'has nan for pictures.distance'),
    ):
        values = Card(('a', 'b'), system={}, pictures=known._replace(**change)).to_json()
        with pytest.raises(UserError, match=re.escape(words)):
            Card.from_json(json.loads(json.dumps(values)), tmp_path / 'facts.json')
