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
@pytest.mark.parametrize('name', ['rows-000001.npz', 'index.npz'])
def test_a_damaged_file_is_computed_again_with_a_note(tmp_path, caplog, name, kind):
    expected = rows_of(np.arange(50))
    for end in (20, 40, 50):
        feature_cache.by_picture(tmp_path, IMAGES[:end], rows_of)
    for seed in range(4):
        damage(tmp_path / name, kind, Random(seed))
        np.testing.assert_array_equal(feature_cache.by_picture(tmp_path, IMAGES, rows_of), expected)
        feature_cache.by_picture(tmp_path, IMAGES, none_missing)
    if kind != 'bit':  # one may be where nothing is read, as the index knows it
        said = 'it is part of the cache, and computed again' in caplog.text
        assert said == (kind != 'missing' and name != 'index.npz')


def test_what_is_new_goes_into_a_file_of_its_own(tmp_path):
    feature_cache.by_picture(tmp_path, IMAGES[:20], rows_of)
    (first,) = tmp_path.glob('rows-*.npz')
    before = first.read_bytes(), first.stat().st_mtime_ns
    asked = []
    feature_cache.by_picture(tmp_path, IMAGES, lambda places: asked.extend(places) or rows_of(places))
    assert asked == [*range(20, 50)]
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before
    assert len([*tmp_path.glob('rows-*.npz')]) == 2


def test_files_that_hold_nothing_asked_for_are_not_read(tmp_path, monkeypatch):
    for end in (20, 40, 50):
        feature_cache.by_picture(tmp_path, IMAGES[:end], rows_of)
    read = []
    whole = feature_cache._rows_of
    monkeypatch.setattr(feature_cache, '_rows_of', lambda path, count: read.append(path.name) or whole(path, count))
    monkeypatch.setattr(feature_cache, '_digests_of', none_missing)  # the index has them
    feature_cache.by_picture(tmp_path, IMAGES[22:30], none_missing)
    assert read == ['rows-000001.npz']


def test_many_small_files_become_one(tmp_path):
    for end in range(1, 36):
        feature_cache.by_picture(tmp_path, IMAGES[:end], rows_of)
    assert len([*tmp_path.glob('rows-*.npz')]) < 5
    np.testing.assert_array_equal(feature_cache.by_picture(tmp_path, IMAGES[:35], none_missing), rows_of(np.arange(35)))


def test_equal_pictures_have_one_row_which_is_computed_once(tmp_path):
    asked, twice, rows = [], IMAGES[[3, 4, 3, 4, 5]], rows_of(np.array([3, 4, 5]))
    found = feature_cache.by_picture(tmp_path, twice, lambda places: asked.extend(places) or rows)
    assert asked == [0, 1, 4]
    np.testing.assert_array_equal(found, rows_of(np.array([3, 4, 3, 4, 5])))


def test_rows_of_another_shape_are_computed_again(tmp_path):
    feature_cache.by_picture(tmp_path, IMAGES[:20], lambda places: rows_of(places)[:, :2])
    np.testing.assert_array_equal(feature_cache.by_picture(tmp_path, IMAGES, rows_of), rows_of(np.arange(50)))
    feature_cache.by_picture(tmp_path, IMAGES, none_missing)


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
    assert not (tmp_path / 'index.npz').exists()
    if spoilt:
        damage(sorted(tmp_path.glob('rows-*.npz'))[0], spoilt, Random(0))
    asked = []

    def counted(places):
        asked.extend(places)
        return rows_of(places)

    found = feature_cache.by_picture(tmp_path, IMAGES, counted, chunk=8)
    np.testing.assert_array_equal(found, rows_of(np.arange(50)))
    assert len(asked) == (26 if spoilt else 18)
    assert {path.name.partition('-')[0] for path in tmp_path.iterdir()} == {'rows', 'index.npz', '.lock'}
    feature_cache.by_picture(tmp_path, IMAGES, none_missing)
