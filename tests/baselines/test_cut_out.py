"""Cells that were cut out of their picture are found as in the whole one, by every system and segmentation."""

import io
import pickle
from functools import cache

import numpy as np
import pytest
from hard_pictures import awkward, cell
from PIL import Image

from alljax.baselines import features
from alljax.baselines.extraction import make_extractor, segment
from alljax.baselines.segment import SEGMENTS, cut_out, thresholds
from alljax.baselines.segmentation_scores import dice
from alljax.baselines.systems import SYSTEMS, WHOLE

SEGMENTING = [name for name, system in SYSTEMS.items() if system().segment != WHOLE]
CELLS = [cell(number, 128) for number in (0, 13, 26)]


def encoded(pixels, quality=80):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'JPEG', quality=quality)
    return np.asarray(Image.open(stream))


def painted(one, value):
    return np.where((one.nucleus | one.cytoplasm)[..., None], one.image, np.uint8(value))


def noisy(one):
    """Black with a camera's noise, kept as JPEG."""
    noise = np.random.default_rng(0).integers(0, 12, one.image.shape, np.uint8)
    return encoded(np.where((one.nucleus | one.cytoplasm)[..., None], one.image, noise))


def turned(one):
    """Black corners, as a picture has that was turned."""
    return np.asarray(Image.fromarray(one.image).rotate(30))


CUT = {
    'black': lambda one: painted(one, 0),
    'black, by JPEG': lambda one: encoded(painted(one, 0)),
    'almost black': noisy,
    'white': lambda one: painted(one, 255),
    'black corners': turned,
}


def nucleus_of(one, name):
    return np.asarray(Image.fromarray(one.nucleus).rotate(30)) if name == 'black corners' else one.nucleus


@cache
def found_whole(system):
    """How well a system finds each nucleus before anything is cut out."""
    extractor = make_extractor(SYSTEMS[system]())
    return [dice(segment(one.image, extractor).nucleus, one.nucleus) for one in CELLS]


@pytest.mark.parametrize('name', CUT)
@pytest.mark.parametrize('system', SEGMENTING)
def test_every_system_finds_the_nucleus_of_a_cut_out(system, name):
    extractor, whole, cut = make_extractor(SYSTEMS[system]()), found_whole(system), []
    for one in CELLS:
        picture = CUT[name](one)
        parts = segment(picture, extractor)
        blank = cut_out.cut_away(picture)
        assert blank.mean() > 0.1
        assert not (parts.cell & blank).any()
        cut.append(dice(parts.nucleus, nucleus_of(one, name)))
    assert np.mean(cut) > np.mean(whole) - 0.13, (cut, whole)
    assert np.mean(cut) > 0.45


@pytest.mark.parametrize('segmentation', SEGMENTS)
def test_every_segmentation_alone_does_too(segmentation):
    for name in ('black', 'almost black', 'white'):
        found = [dice(SEGMENTS[segmentation](CUT[name](one)).nucleus, one.nucleus) for one in CELLS]
        assert np.mean(found) > 0.8, name


def test_the_features_are_of_the_cell_and_not_of_the_black_around_it():
    extractor, one = make_extractor(SYSTEMS['rawat2017']()), CELLS[0]
    whole, cut = (
        features.measure(picture, segment(picture, extractor), extractor.measurements)
        for picture in (one.image, painted(one, 0))
    )
    assert cut['found'] == whole['found'] == 1
    areas = [name for name in whole if 'area' in name]
    assert areas
    for name in areas:
        assert cut[name] == pytest.approx(whole[name], rel=0.25), name


def test_other_pictures_stay_as_they_are():
    over = CELLS[0].image.astype(int) + 45  # too much light: the slide is white, but shades into it
    pictures = [*awkward().items(), *((str(number), one.image) for number, one in enumerate(CELLS))]
    for name, picture in [*pictures, ('bright', over.clip(0, 255).astype(np.uint8))]:
        if name in ('white', 'black', 'one pixel'):
            continue
        filled, blank = cut_out.on_glass(picture)
        assert filled is picture, name
        assert not blank.any()
        for segmentation in (thresholds.otsu, thresholds.three_levels):
            found, before = segmentation(picture), segmentation.__wrapped__(picture)
            np.testing.assert_array_equal(found.nucleus, before.nucleus)
            np.testing.assert_array_equal(found.cytoplasm, before.cytoplasm)


def test_a_segmentation_goes_to_other_processes():
    for of in SEGMENTS.values():
        assert pickle.loads(pickle.dumps(of)) is of
