"""The caches of cells: whatever became of a file in them they give the same cells, and two runs share one build."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from damage import KINDS, damage, files
from PIL import Image

from alljax.data import datasets
from alljax.data.datasets import DataOptions
from alljax.data.datasets import synthetic as drawings
from alljax.errors import UserError

ROOT = Path(__file__).parents[2]
BUILT = ('dataset_info.json', 'metadata.json', 'features.json', 'label.labels.txt', 'cells.array_record-00000-of-00001')


@pytest.fixture
def options(tmp_path, monkeypatch):
    """A folder of six pictures of two classes, and an empty cache."""
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    rng = np.random.default_rng(0)
    for name in ('blast/1.png', 'blast/2.png', 'blast/3.png', 'normal/4.png', 'normal/5.png', 'normal/6.png'):
        path = tmp_path / 'cells' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    return DataOptions('folder', str(tmp_path / 'cells'), 'classes', 32)


def check_same(first, second):
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert (first.names, first.group_names, first.origin) == (second.names, second.group_names, second.origin)


@pytest.mark.parametrize('kind', KINDS)
def test_damaged_cells_in_the_cache_are_built_again_with_a_note(options, tmp_path, caplog, kind):
    whole = datasets.load(options, 0)
    notes = 0
    for name in BUILT:
        (file,) = (tmp_path / 'cache' / 'cells').rglob(f'*{name}')
        damage(file, kind, Random(kind + name))
        caplog.clear()
        check_same(datasets.load(options, 0), whole)
        said = [record.getMessage() for record in caplog.records if 'built again' in record.getMessage()]
        assert len(said) <= 1
        notes += len(said)
    assert notes >= 1


def test_every_flip_in_the_pictures_is_noticed(options, tmp_path, caplog):
    whole = datasets.load(options, 0)
    for seed in range(6):
        (file,) = (tmp_path / 'cache' / 'cells').rglob('*cells.array_record*')
        damage(file, 'bit', Random(seed))
        check_same(datasets.load(options, 0), whole)


def test_what_a_killed_build_left_is_deleted(options, tmp_path):
    datasets.load(options, 0)
    (entry,) = (tmp_path / 'cache' / 'cells' / 'folder').glob('classes-*')
    (version,) = (path for path in entry.iterdir() if path.is_dir())
    left = version.rename(entry / f'incomplete.ABC123_{version.name}')
    datasets.load(options, 0)
    assert not left.exists()
    assert version.is_dir()


LOAD = """
import json, logging, sys
from alljax.data import datasets
from alljax.data.datasets import DataOptions
logging.basicConfig(level=logging.INFO)
print(datasets.load(DataOptions(*json.loads(sys.argv[1])), 0).origin.fingerprint)
"""


def two_at_once(options):
    """The fingerprints that two processes find on an empty cache, and what they say."""
    command = [sys.executable, '-c', LOAD, json.dumps(options)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in 'ab'
    ]
    found = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], found
    return {out for out, _ in found}


def test_two_runs_on_an_empty_cache_build_the_cells_once(options, tmp_path):
    assert len(two_at_once(options)) == 1
    assert len([*(tmp_path / 'cache' / 'cells').rglob('*.array_record*')]) == 1
    assert not [*(tmp_path / 'cache' / 'cells').rglob('*incomplete*')]


@pytest.mark.slow
def test_two_runs_on_an_empty_cache_draw_the_cells_once(tmp_path, monkeypatch):
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    assert len(two_at_once(DataOptions('synthetic', size=32, cells=40))) == 1
    assert len([path for path in (tmp_path / 'cache' / 'synthetic').iterdir() if path.is_dir()]) == 1


@pytest.fixture(scope='module')
def drawing(tmp_path_factory):
    return tmp_path_factory.mktemp('drawings')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', ['synthetic.json', 'groups.csv', 'subtypes.csv', 'img/Im003_1.tif', 'checksums.json'])
def test_damaged_drawings_are_drawn_again_with_a_note(drawing, monkeypatch, caplog, name, kind):
    monkeypatch.setenv('ALLJAX_CACHE', str(drawing))
    drawn_again = []
    monkeypatch.setattr(drawings.synthetic, 'write', lambda path, cells, seed: drawn_again.append(path) or fake(path))
    folder = drawings.draw(40, 0)
    content = {file: file.read_bytes() for file in files(folder)}
    drawn_again.clear()
    path = folder / name if name == 'checksums.json' else folder / 'ALL_IDB2' / name
    damage(path, kind, Random(kind + name))
    assert drawings.draw(40, 0) == folder
    assert {file: file.read_bytes() for file in files(folder)} == content
    if (name, kind) != ('checksums.json', 'missing'):
        assert drawn_again == [folder]
        assert 'it is part of the cache, and drawn again' in caplog.text


def fake(path):
    """A folder of the same names as a drawn one, at once."""
    for name in ('synthetic.json', 'groups.csv', 'subtypes.csv', 'img/Im003_1.tif'):
        file = path / 'ALL_IDB2' / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({'cells': 40, 'blasts': 20, 'name': name}))


@pytest.mark.parametrize('kind', ['empty', 'cut', 'junk', 'other type'])
def test_a_user_s_own_drawn_folder_with_a_damaged_marker_is_told(drawn, tmp_path, kind):
    shutil.copytree(drawn, tmp_path / 'set')
    damage(tmp_path / 'set' / 'ALL_IDB2' / 'synthetic.json', kind, Random(0))
    with pytest.raises(UserError, match=r'synthetic.json: .*draw the cells again into a new folder'):
        datasets.load(DataOptions('all_idb2', str(tmp_path / 'set'), size=32), 0)
