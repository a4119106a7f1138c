"""Groups that an audit finds in a folder that names no slides."""

import shutil

import numpy as np
import pytest
from PIL import Image

from alljax.data import audit, datasets
from alljax.data.datasets import DataOptions
from alljax.errors import UserError
from alljax.storage import cache, speed_record


@pytest.fixture
def folder(tmp_path):
    """Six pictures in two classes, the last of either being the one before it with another pixel."""
    rng = np.random.default_rng(0)
    for label in ('a', 'b'):
        (tmp_path / label).mkdir()
        pictures = rng.integers(0, 255, (3, 64, 64, 3), np.uint8)
        pictures[2] = pictures[1]
        pictures[2, 0, 0] += 1
        for number, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(tmp_path / label / f'{number}.png')
    return tmp_path


def load(folder, groups='audit'):
    return datasets.load(DataOptions('folder', str(folder), 'classes', 64, groups=groups), 0)


def test_repeats_are_groups_where_no_slide_is_named_and_are_found_once(folder, caplog, monkeypatch):
    before = sorted(folder.rglob('*'))
    named = load(folder, 'named')
    assert len(set(named.groups)) == 6
    caplog.clear()
    with caplog.at_level('INFO', 'alljax'):
        found = load(folder)
    assert 'the audit found 2 repeated pairs: the 6 cells are in 4 groups (by repeats only' in caplog.text
    assert 'each cell is a group of its own' not in caplog.text
    assert found.origin.grouping == 'repeats only'
    assert 'patients and slides are unknown' in found.origin.notes[-1]
    together = {tuple(np.flatnonzero(found.groups == group)) for group in set(found.groups)}
    assert together == {(0,), (1, 2), (3,), (4, 5)}
    assert found.repeats.tolist() == [-1, 0, 0, -1, 1, 1]
    assert found.origin.fingerprint != named.origin.fingerprint
    assert sorted(folder.rglob('*')) == before
    assert speed_record.read()['audit']['picture'] > 0
    monkeypatch.setattr(audit, 'pairs_within', None)  # not asked again
    again = load(folder)
    assert (again.groups == found.groups).all()
    assert again.origin == found.origin


def test_named_slides_stay_and_repeats_across_them_are_told(folder):
    rows = [f'{label}/{number}.png,{label},slide {number}' for label in 'ab' for number in range(3)]
    (folder / 'cells.csv').write_text('\n'.join(['file,label,group', *rows]))
    named, found = load(folder, 'named'), load(folder)
    assert (found.groups == named.groups).all()
    assert found.origin.fingerprint == named.origin.fingerprint
    assert found.origin.grouping == 'patient or slide'
    assert 'found 2 pairs of one cell or one field in two groups (a/1.png = a/2.png' in found.origin.notes[-1]


def test_equal_pictures_are_no_problem_where_an_audit_groups_them(folder):
    shutil.copy(folder / 'a' / '1.png', folder / 'a' / '3.png')
    with pytest.raises(UserError, match=r'a/1.png, a/3.png: hold the same pixels'):
        load(folder, 'named')
    assert sorted(np.bincount(load(folder).groups).tolist()) == [1, 1, 2, 3]
    with pytest.raises(UserError, match=r'a/1.png, a/3.png: hold the same pixels'):
        load(folder, 'named')  # though the cells are in the cache by now


def test_a_damaged_record_of_an_audit_is_made_again(folder, tmp_path_factory, monkeypatch, caplog):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path_factory.mktemp('cache')))
    first = load(folder)
    (path,) = cache.folder('pairs').glob('audit-*.json')
    good = path.read_text()
    damaged, unsigned = 'is not as it was written', 'has no checksum, as earlier releases wrote it'
    no_cell, another_cell = good.replace('4,', '6,', 1), good.replace('4,', '3,', 1)
    for bad, why in (('{"pairs": [[1]]}', unsigned), (no_cell, damaged), (another_cell, damaged)):
        assert bad != good
        path.write_text(bad)
        caplog.clear()
        assert (load(folder).groups == first.groups).all()
        assert f'{path}: {why}' in caplog.text
