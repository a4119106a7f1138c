"""The searched thresholds against other people's, and the triangle against its geometry."""

import numpy as np
import pytest
from scipy import optimize
from skimage import filters

from alljax.baselines.segment import thresholds


def two_hills(seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(np.concatenate([rng.normal(0.3, 0.06, 4000), rng.normal(0.75, 0.05, 9000)]), 0, 1)


def test_the_triangle_is_the_level_farthest_from_the_line_from_peak_to_tail():
    rng = np.random.default_rng(1)
    levels = np.round(200 - np.abs(rng.normal(0, 30, (100, 100)))).clip(0, 255)
    found = thresholds.zack(levels)
    assert found == filters.threshold_triangle(levels)
    counts, edges = np.histogram(levels, 256)  # the same by hand
    centers = (edges[1:] + edges[:-1]) / 2
    peak, tail = counts.argmax(), np.flatnonzero(counts)[0]
    x, y = np.arange(tail, peak), counts[tail:peak]
    height, width = counts[peak], peak - tail
    away = np.abs(height * (x - tail) - width * y) / np.hypot(height, width)
    assert found == pytest.approx(centers[tail + away.argmax()], abs=2 * (edges[1] - edges[0]))


@pytest.mark.parametrize('place', [0.1, 0.37, 0.9])
def test_golden_section_finds_the_maximum_that_a_bounded_minimizer_finds(place):
    def score(x):
        return -((x - place) ** 2) - 0.3 * abs(x - place)

    found = thresholds.golden_section(score, 0.0, 1.0, 1e-9)
    peer = optimize.minimize_scalar(lambda x: -score(x), bounds=(0, 1), method='bounded', options={'xatol': 1e-9})
    assert found == pytest.approx(peer.x, abs=1e-6)
    assert found == pytest.approx(place, abs=1e-6)


def test_golden_section_asks_for_one_new_value_a_step():
    asked = []
    thresholds.golden_section(lambda x: asked.append(x) or -((x - 0.4) ** 2), 0.0, 1.0, 1e-6)
    steps = int(np.ceil(np.log(1e-6) / np.log(thresholds.GOLDEN)))
    assert len(asked) == steps + 2
    assert len(set(asked)) == len(asked)


def test_the_searched_threshold_is_otsus_where_there_are_two_hills():
    values = two_hills()
    found = thresholds.searched(values)
    peer = optimize.minimize_scalar(
        lambda x: -thresholds.between_classes(values)(x), bounds=(0, 1), method='bounded', options={'xatol': 1e-4}
    )
    score = thresholds.between_classes(values)
    assert score(found) == pytest.approx(score(peer.x), rel=1e-3)
    assert score(found) == pytest.approx(score(filters.threshold_otsu(values)), rel=1e-3)


def test_the_variance_between_classes_is_that_of_the_two_means():
    values = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    score = thresholds.between_classes(values)
    low, high = 1 / 512, 1 - 1 / 512  # the middles of the outer bins
    assert score(0.5) == pytest.approx(2 / 6 * 4 / 6 * (high - low) ** 2)
    assert score(-1.0) == score(2.0) == 0


def test_yellow_is_what_blue_lacks():
    pixels = np.array([[[200, 200, 100], [100, 100, 200], [0, 0, 0]]], np.uint8)
    np.testing.assert_allclose(thresholds.yellow(pixels), [[0.5, 0, 0]])


def test_touching_disks_are_cut_apart_and_one_is_left_whole():
    y, x = np.mgrid[:120, :160]
    disks = [np.hypot(y - 60, x - middle) < 32 for middle in (52, 108)]
    cut = thresholds.apart(disks[0] | disks[1])
    from skimage import measure

    labels = measure.label(cut)
    assert labels.max() == 2
    assert labels[60, 52] != labels[60, 108]
    assert measure.label(thresholds.apart(disks[0])).max() == 1
