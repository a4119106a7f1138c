import json

import numpy as np
import pytest
from PIL import Image

from alljax.data import synthetic
from alljax.data.synthetic import KINDS, plant
from alljax.errors import UserError


@pytest.mark.parametrize('kind', KINDS)
def test_each_kind_alters_as_it_says(kind):
    image = synthetic.draw('L1', synthetic.slide(0, 1), np.random.default_rng(0)).image
    first, second = plant(image, kind, np.random.default_rng(1))
    if kind.startswith('same'):
        np.testing.assert_array_equal(first, second)
    elif kind == 'mirrored':
        assert any(np.array_equal(np.flip(first, axis), second) for axis in (0, 1))
    else:
        assert first.dtype == second.dtype == np.uint8
        assert not np.array_equal(first, second)
    assert (first.shape == image.shape) == (kind not in ('shifted', 'everything'))


def test_shifted_pictures_are_windows_of_one():
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    first, second = plant(image, 'shifted', np.random.default_rng(1))
    assert first.shape == second.shape == (70, 70, 3)
    for window in (first, second):
        places = [(y, x) for y in range(11) for x in range(11) if np.array_equal(image[y : y + 70, x : x + 70], window)]
        assert len(places) == 1


def test_an_unknown_kind_is_told():
    with pytest.raises(ValueError, match="'blurred' is no kind of repeat"):
        plant(np.zeros((8, 8, 3), np.uint8), 'blurred', np.random.default_rng(0))


def test_a_drawn_set_lists_its_repeats_and_leaves_groups_to_be_found(tmp_path):
    synthetic.write(tmp_path / 'set', 80, 0, 8)
    root = tmp_path / 'set' / 'ALL_IDB2'
    facts = json.loads((root / 'synthetic.json').read_text())
    assert sorted(kind for _, _, kind in facts['repeats']) == sorted(KINDS)
    assert not (root / 'groups.csv').exists()
    for first, second, kind in facts['repeats']:
        assert first[-5] == second[-5]  # both blasts, or both normal
        one, other = (np.asarray(Image.open(root / 'img' / name)) for name in (first, second))
        assert np.array_equal(one, other) == kind.startswith('same')
        assert ((root / 'img' / first).read_bytes() == (root / 'img' / second).read_bytes()) == (kind == 'same file')


def test_too_many_repeats_are_told(tmp_path):
    with pytest.raises(UserError, match='choose 0 to 20'):
        synthetic.write(tmp_path / 'set', 80, 0, 21)
