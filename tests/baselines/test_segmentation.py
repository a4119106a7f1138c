"""Every way to find a cell, on drawn cells whose truth is known and on pictures that are hard."""

from functools import cache

import numpy as np
import pytest
from hard_pictures import awkward, cell, cut, touching
from skimage import measure

from alljax.baselines import features, segmentation_scores
from alljax.baselines.extraction import make_extractor, segment
from alljax.baselines.segment import SEGMENTS, central_cell
from alljax.baselines.systems import SYSTEMS

AWKWARD = awkward()


@cache
def names_of(system):
    """The names of a system's measurements."""
    made, picture = make_extractor(SYSTEMS[system]()), AWKWARD['a cell']
    return list(features.measure(picture, segment(picture, made), made.measurements))


@pytest.mark.parametrize('name', AWKWARD)
@pytest.mark.parametrize('system', SYSTEMS)
def test_every_picture_gives_a_result(system, name):
    picture, made = AWKWARD[name], make_extractor(SYSTEMS[system]())
    parts = segment(picture, made)
    assert parts.nucleus.shape == parts.cytoplasm.shape == picture.shape[:2]
    assert not (parts.nucleus & parts.cytoplasm).any()
    assert parts.found or not parts.cell.any()
    values = features.measure(picture, parts, made.measurements)
    assert np.isfinite([*values.values()]).all()
    assert list(values) == names_of(system)
    assert values['found'] == parts.found


@pytest.mark.parametrize('segmentation', SEGMENTS)
def test_nothing_is_found_where_there_is_nothing(segmentation):
    for name in ('white', 'black', 'one color'):
        assert not SEGMENTS[segmentation](AWKWARD[name]).found, name


@pytest.mark.parametrize('segmentation', SEGMENTS)
def test_a_cell_cut_by_the_border_is_found(segmentation):
    parts = SEGMENTS[segmentation](cut())
    y, x = np.mgrid[:96, :96]
    assert segmentation_scores.dice(parts.nucleus, np.hypot(y - 48, x) < 26) > 0.85


def test_only_the_watershed_parts_two_touching_cells():
    picture = touching()
    one = SEGMENTS['triangle_and_watershed'](picture)
    assert np.count_nonzero(one.cell) < 0.7 * np.count_nonzero(SEGMENTS['otsu'](picture).cell)
    assert measure.label(one.cell).max() == 1


@pytest.mark.slow
def test_the_best_system_finds_the_nucleus_of_drawn_cells():
    drawn = [cell(number) for number in range(0, 80, 8)]
    means = {}
    for segmentation, of in SEGMENTS.items():
        found = [of(one.image) for one in drawn]
        means[segmentation] = np.mean(
            [segmentation_scores.dice(f.nucleus, t.nucleus) for f, t in zip(found, drawn, strict=True)]
        )
    assert max(means.values()) > 0.95
    assert min(means.values()) > 0.6, means
    cells = [SEGMENTS['hsv_k_means'](one.image).cell for one in drawn]
    truth = [one.nucleus | one.cytoplasm for one in drawn]
    assert np.mean([segmentation_scores.dice(*pair) for pair in zip(cells, truth, strict=True)]) > 0.9


def test_the_middle_object_is_taken_and_specks_are_not():
    mask = np.zeros((100, 100), bool)
    mask[5:30, 5:30] = mask[48:62, 44:58] = True
    mask[40, 50] = True  # closer to the middle, but a speck
    assert central_cell.central(mask).sum() == 14 * 14
    lobes = np.zeros((200, 200), bool)
    lobes[90:110, 80:98] = lobes[90:110, 100:120] = True  # two pixels apart: lobes of one nucleus
    assert central_cell.central(lobes).sum() == 20 * 38
    far = np.zeros((100, 100), bool)
    far[:15, :15] = True
    assert not central_cell.central(far).any()


def test_the_systems_differ():
    picture = cell(3).image
    masks = {name: of(picture).nucleus.tobytes() for name, of in SEGMENTS.items()}
    assert len(set(masks.values())) >= len(SEGMENTS) - 1  # k-means and its fuzzy kin may agree
