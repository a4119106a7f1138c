"""Shape, color and texture against known forms, scikit-image, and counting by hand."""

import numpy as np
import pytest
from skimage import feature

from alljax.baselines import features
from alljax.baselines.features import intensity, shape, texture
from alljax.baselines.segment import Parts

Y, X = np.mgrid[:120, :120]
DISK = np.hypot(Y - 60, X - 60) < 30
EMPTY = np.zeros_like(DISK)
GRAY = np.random.default_rng(0).integers(0, 256, (120, 120, 1), np.uint8).repeat(3, 2)


def test_a_disk_is_round_and_an_ellipse_is_not():
    disk = shape.nucleus(GRAY, Parts(DISK, EMPTY))
    assert disk['nucleus area'] == pytest.approx(np.pi * 30**2, rel=0.01)
    assert disk['nucleus perimeter'] == pytest.approx(2 * np.pi * 30, rel=0.05)  # pixels make steps
    assert disk['nucleus circularity'] == pytest.approx(1, abs=0.1)
    assert disk['nucleus elongation'] == pytest.approx(1, abs=0.01)
    assert disk['nucleus solidity'] > 0.97
    ellipse = shape.nucleus(GRAY, Parts(((Y - 60) / 15) ** 2 + ((X - 60) / 45) ** 2 < 1, EMPTY))
    assert ellipse['nucleus elongation'] == pytest.approx(1 / 3, abs=0.02)
    assert ellipse['nucleus eccentricity'] == pytest.approx(np.sqrt(1 - 1 / 9), abs=0.01)
    assert ellipse['nucleus circularity'] < 0.75


def test_lobes_and_the_share_of_the_nucleus():
    two = (np.hypot(Y - 60, X - 40) < 12) | (np.hypot(Y - 60, X - 80) < 12)
    assert shape.nucleus(GRAY, Parts(two, EMPTY))['nucleus lobes'] == 2
    parts = Parts(np.hypot(Y - 60, X - 60) < 15, DISK & ~(np.hypot(Y - 60, X - 60) < 15))
    assert shape.cell(GRAY, parts)['nucleus share'] == pytest.approx(0.25, abs=0.01)
    assert shape.cell(GRAY, parts)['cell area'] == DISK.sum()


def test_colors_are_means_and_deviations_of_each_part():
    picture = np.zeros((120, 120, 3), np.uint8)
    picture[DISK] = (255, 0, 0)
    picture[60:, :][DISK[60:]] = (0, 0, 255)
    found = intensity.colors(picture, Parts(DISK, ~DISK))
    share = DISK[60:].sum() / DISK.sum()
    assert found['nucleus red mean'] == pytest.approx(1 - share)
    assert found['nucleus blue deviation'] == pytest.approx(np.sqrt(share * (1 - share)))
    assert found['nucleus saturation mean'] == 1
    assert found['cytoplasm value mean'] == found['cytoplasm L* mean'] == 0


def test_moments_are_scipys_and_of_equal_values_nothing():
    from scipy import stats

    found = intensity.statistics(GRAY, Parts(DISK, EMPTY))
    values = GRAY[DISK][:, 0] / 255
    assert found['nucleus red mean'] == pytest.approx(values.mean())
    assert found['nucleus red skewness'] == pytest.approx(stats.skew(values))
    assert found['nucleus gray kurtosis'] == pytest.approx(stats.kurtosis(values))
    assert found['nucleus gray entropy'] == pytest.approx(5, abs=0.05)  # 32 levels, equally frequent
    flat = intensity.statistics(np.full_like(GRAY, 77), Parts(DISK, EMPTY))
    assert flat['nucleus gray skewness'] == flat['nucleus gray entropy'] == 0
    assert flat['nucleus gray energy'] == 1


def test_texture_of_a_whole_picture_is_scikit_images():
    levels = np.random.default_rng(1).integers(0, texture.LEVELS, (40, 30)).astype(np.uint8)
    found = texture.properties(levels, np.ones(levels.shape, bool))
    counts = feature.graycomatrix(levels, [1], texture.ANGLES, levels=texture.LEVELS, symmetric=True, normed=True)
    for kind, value in zip(texture.PROPERTIES, found, strict=True):
        assert value == pytest.approx(feature.graycoprops(counts, kind).mean()), kind


def test_texture_counts_only_pairs_within_the_mask():
    rng = np.random.default_rng(2)
    levels = rng.integers(0, texture.LEVELS, (24, 24)).astype(np.uint8)
    mask = rng.random((24, 24)) < 0.6
    contrasts = []
    for row, column in ((0, 1), (-1, 1), (-1, 0), (-1, -1)):  # 0, 45, 90, 135 degrees
        pairs = [
            (int(levels[y, x]) - int(levels[y + row, x + column])) ** 2
            for y in range(24)
            for x in range(24)
            if 0 <= y + row < 24 and 0 <= x + column < 24 and mask[y, x] and mask[y + row, x + column]
        ]
        contrasts.append(np.mean(pairs))
    assert texture.properties(levels, mask)[0] == pytest.approx(np.mean(contrasts))


def test_of_an_empty_mask_everything_is_zero_under_the_same_names():
    every = tuple(features.FEATURES.values())
    nothing = features.measure(GRAY, Parts(EMPTY, EMPTY), every)
    assert set(nothing.values()) == {0.0}
    assert list(nothing) == list(features.measure(GRAY, Parts(DISK, ~DISK), every))
    lonely = np.zeros_like(DISK)
    lonely[3, 3] = True
    assert np.isfinite([*features.measure(GRAY, Parts(lonely, EMPTY), every).values()]).all()
