"""Rows that were computed are kept: over damage to their file, and over a kill in the middle of computing them."""

import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from damage import KINDS, damage

from alljax.storage import feature_cache

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), np.uint8)


def rows_of(places):
    return IMAGES[places].reshape(len(places), -1)[:, :5].astype(np.float32) / 7


def none_missing(places):
    raise AssertionError(f'{len(places)} rows are computed again')


@pytest.mark.parametrize('kind', KINDS)
def test_a_damaged_file_is_computed_again_with_a_note(tmp_path, caplog, kind):
    expected = rows_of(np.arange(50))
    feature_cache.by_picture(tmp_path, IMAGES, rows_of)
    for seed in range(8):
        damage(tmp_path / 'features.npz', kind, Random(seed))
        np.testing.assert_array_equal(feature_cache.by_picture(tmp_path, IMAGES, rows_of), expected)
        feature_cache.by_picture(tmp_path, IMAGES, none_missing)
    assert ('it is part of the cache, and computed again' in caplog.text) == (kind != 'missing')


def test_rows_come_in_chunks_and_each_once(tmp_path):
    asked = []

    def counted(places):
        asked.append(list(places))
        return rows_of(places)

    feature_cache.by_picture(tmp_path, IMAGES[:10], counted, chunk=4)
    feature_cache.by_picture(tmp_path, IMAGES[:12], counted, chunk=4)
    assert asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [10, 11]]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from alljax.storage import feature_cache
feature_cache.SAVE_SECONDS = 0
images = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), np.uint8)
def rows(places):
    if places[0] >= 32:
        os.kill(os.getpid(), signal.SIGKILL)
    return images[places].reshape(len(places), -1)[:, :5].astype(np.float32) / 7
feature_cache.by_picture(Path(sys.argv[1]), images, rows, chunk=8)
"""


@pytest.mark.parametrize('spoilt', [None, 'empty', 'bytes'])
def test_what_a_killed_run_computed_is_kept(tmp_path, spoilt):
    killed = subprocess.run([sys.executable, '-c', KILLED, tmp_path], cwd=Path(__file__).parents[2])
    assert killed.returncode == -9
    assert not (tmp_path / 'features.npz').exists()
    if spoilt:
        damage(sorted(tmp_path.glob('features-part-*.npz'))[0], spoilt, Random(0))
    asked = []

    def counted(places):
        asked.extend(places)
        return rows_of(places)

    found = feature_cache.by_picture(tmp_path, IMAGES, counted, chunk=8)
    np.testing.assert_array_equal(found, rows_of(np.arange(50)))
    assert len(asked) == (26 if spoilt else 18)
    assert {path.name for path in tmp_path.iterdir()} == {'features.npz', '.lock'}
    feature_cache.by_picture(tmp_path, IMAGES, none_missing)
