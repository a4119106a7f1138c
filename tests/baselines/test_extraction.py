"""Parts of the user's own: sent to other processes as functions, and told apart in the cache of features."""

import runpy
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from alljax import baselines
from alljax.baselines import extraction, model_selection
from alljax.baselines.extraction import make_extractor
from alljax.baselines.segment import SEGMENTS, Parts, thresholds
from alljax.baselines.systems import SYSTEMS, System
from alljax.errors import UserError

MINE = """
from alljax.baselines import SEGMENTS, Parts
LEVEL = {level}
def dark(picture):
    return Parts(picture[..., 1] < LEVEL, picture[..., 1] > 180)
SEGMENTS['mine'] = dark
"""
SYSTEM = System('mine', ('glcm', 'network'), ('knn',))


@pytest.fixture(autouse=True)
def parts():
    before = dict(SEGMENTS)
    yield
    SEGMENTS.clear()
    SEGMENTS.update(before)


@pytest.fixture
def mine(tmp_path):
    def run(level):
        (tmp_path / 'mine.py').write_text(MINE.format(level=level))
        runpy.run_path(str(tmp_path / 'mine.py'))
        return make_extractor(SYSTEM)

    return run


def images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 24, 24, 3), np.uint8)


def test_a_part_of_the_user_s_own_is_measured_in_other_processes(mine, monkeypatch):
    monkeypatch.setenv('LOKY_MAX_CPU_COUNT', '2')
    mine(110)
    many = extraction.rows(SYSTEM, images(extraction.FEW + 2))
    few = extraction.rows(SYSTEM, images(3))
    np.testing.assert_array_equal(many.values[:3], few.values)
    assert many.found.all()
    assert many.values.any(1).all()


def test_rows_are_kept_by_the_file_of_the_user_s_part(mine, tmp_path):
    first, again, other = (extraction.key(SYSTEM, mine(level)) for level in (110, 110, 90))
    assert first == again != other
    extraction.rows(SYSTEM, images(3), tmp_path / 'kept')
    assert (tmp_path / 'kept' / other).is_dir()


def test_another_function_under_an_old_name_has_rows_of_its_own():
    keys = []
    for function in (thresholds.otsu, thresholds.three_levels):
        SEGMENTS['mine'] = function
        keys.append(extraction.key(SYSTEM, make_extractor(SYSTEM)))
    assert None not in keys
    assert keys[0] != keys[1]


def test_rows_of_a_part_whose_code_cannot_be_told_are_not_kept(tmp_path):
    def cut(level, picture):
        return Parts(picture[..., 1] < level, picture[..., 1] < 0)

    level = 110
    typed = {'Parts': Parts}
    exec('def typed(picture): return Parts(picture[..., 1] < 110, picture[..., 1] < 0)', typed)
    for part in (partial(cut, 110), lambda picture: cut(level, picture), typed['typed']):
        SEGMENTS['mine'] = part
        assert extraction.key(SYSTEM, make_extractor(SYSTEM)) is None
        assert extraction.rows(SYSTEM, images(2), tmp_path).found.all()
    assert not list(tmp_path.iterdir())


def test_names_of_parts_that_there_are_not_are_told_together():
    with pytest.raises(UserError) as error:
        make_extractor(System('mine', ('glcn',), ('knn',), preprocess=('stretch', 'median3')))
    assert [problem.split(';')[0].split(',')[0] for problem in error.value.problems] == [
        "there is no filter 'median3'",
        "there is no segmentation 'mine'",
        "there is no measurement 'glcn'",
    ]
    with pytest.raises(UserError, match="there is no classifier 'svn', did you mean 'svm'"):
        model_selection.fitted(System('otsu', (), ('svn',)), np.eye(8), np.arange(8) % 2, np.arange(8), ('a', 'b'), 0)


def test_the_room_gives_its_dictionaries_and_is_light_to_import():
    assert baselines.SYSTEMS is SYSTEMS
    assert baselines.SEGMENTS is SEGMENTS
    assert {*baselines.__all__} <= {*dir(baselines)}
    assert all(isinstance(getattr(baselines, name), dict) for name in baselines.__all__ if name.isupper())
    with pytest.raises(AttributeError, match='no attribute'):
        baselines.SYSTEM  # noqa: B018
    code = "import sys, alljax.baselines; assert not {'jax', 'sklearn', 'skimage', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, '-c', code], check=True)
