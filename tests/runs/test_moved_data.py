"""Runs whose folder of cells was moved, is named otherwise, or holds other cells now."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alljax import config
from alljax.commands import baselines
from alljax.config import resolve
from alljax.data import datasets
from alljax.data.datasets import DataOptions
from alljax.errors import UserError
from alljax.runs import segmentation_sheet
from alljax.storage import cache, run_folder


@pytest.fixture(scope='module', autouse=True)
def _without_sheets():
    """No outlines are measured and drawn, which take longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation_sheet, 'score', lambda *_, **__: ({}, {}))
        yield


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """The arguments that name a config of pictures as small as those here."""
    path = tmp_path_factory.mktemp('config') / 'small.py'
    path.write_text('from alljax import config\n\n\ndef get_config():\n    values = config.defaults()\n'
                    '    values.data.size = 64\n    return values\n')  # fmt: skip
    return ['--config', str(path)]


@pytest.fixture(scope='module')
def made(tmp_path_factory, small):
    """A folder of cells and a finished run on it. Copy both before changing them."""
    top = tmp_path_factory.mktemp('moved')
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:64, :64]
    for number in range(16):
        picture = np.full((64, 64, 3), (235, 210, 215), float)
        picture[np.hypot(y - 32, x - 32) < (18, 9)[number % 2]] = (95, 65, 145)
        path = top / 'cells' / ('large', 'small')[number % 2] / f'{number:02}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture + rng.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)).save(path)
    assert baselines.main(['chatap2014', str(top / 'cells'), '--workdir', str(top / 'run'), *small]) == 0
    return top


@pytest.fixture
def top(made, tmp_path):
    """The same, but the cells lie in another folder than the run says."""
    shutil.copytree(made / 'run', tmp_path / 'run')
    shutil.copytree(made / 'cells', tmp_path / 'elsewhere' / 'cells')
    fields = json.loads((tmp_path / 'run' / 'config.json').read_text())
    (tmp_path / 'run' / 'config.json').write_text(json.dumps({**fields, 'data.root': str(tmp_path / 'gone')}))
    return tmp_path


def root_of(run):
    return json.loads((run / 'config.json').read_text())['data.root']


@pytest.mark.parametrize('place', ['elsewhere/cells', '../cells', '~/cells'])
def test_the_same_cells_in_another_folder_are_no_other_config(top, monkeypatch, place, small):
    monkeypatch.setenv('HOME', str(top / 'elsewhere'))
    (top / 'elsewhere' / 'inner').mkdir()
    monkeypatch.chdir(top if place.startswith('e') else top / 'elsewhere' / 'inner')
    assert baselines.main(['chatap2014', place, '--workdir', str(top / 'run'), *small]) == 0
    assert Path(root_of(top / 'run')).samefile(top / 'elsewhere' / 'cells')
    assert Path(root_of(top / 'run')).is_absolute()  # so that --summary finds them from any folder
    assert not (top / 'elsewhere' / 'inner' / '~').exists()


def test_other_cells_are_refused_and_the_run_stays_as_it_was(top, small):
    changed = top / 'elsewhere' / 'cells' / 'large' / '00.png'
    Image.fromarray(np.full((64, 64, 3), (9, 8, 7), np.uint8)).save(changed)
    before = {path: path.read_bytes() for path in (top / 'run').glob('*.json')}
    with pytest.raises(UserError, match='was trained on other cells'):
        baselines.main(['chatap2014', str(top / 'elsewhere' / 'cells'), '--workdir', str(top / 'run'), *small])
    assert {path: path.read_bytes() for path in (top / 'run').glob('*.json')} == before
    with pytest.raises(UserError, match='was trained on other cells'):
        baselines.main(['li2016', str(top / 'run'), '--data', str(top / 'elsewhere' / 'cells')])


def test_beside_a_run_the_folder_can_be_named(top, capsys):
    with pytest.raises(UserError, match=r'gone: the cells of .*run are no longer there; name their folder with --data'):
        baselines.main(['li2016', str(top / 'run')])
    assert baselines.main(['li2016', str(top / 'run'), '--data', str(top / 'elsewhere' / 'cells')]) == 0
    assert 'li2016' in capsys.readouterr().out
    assert root_of(top / 'run-li2016') == str(top / 'elsewhere' / 'cells')


def test_a_plan_of_a_run_takes_the_folder_that_is_named(top):
    with pytest.raises(UserError, match='name their folder with --data DIR'):
        resolve.of_run(top / 'run')
    assert resolve.of_run(top / 'run', top / 'elsewhere').data.root == str(top / 'elsewhere')


def test_only_the_folder_of_the_cells_may_differ(tmp_path):
    fields = {'data.root': '/a', 'seed': 0}
    with run_folder.opened(tmp_path / 'run', fields):
        pass
    with run_folder.opened(tmp_path / 'run', {**fields, 'data.root': '/b'}):
        pass
    with (
        pytest.raises(UserError, match='seed: 0 there, 1 now'),
        run_folder.opened(tmp_path / 'run', {**fields, 'seed': 1}),
    ):
        pass


def test_a_home_is_expanded_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    shutil.copy('configs/folder.py', tmp_path / 'mine.py')
    assert config.load('~/mine.py').data.name == 'folder'
    assert datasets.located(DataOptions('folder', '~/cells')).root == str(tmp_path / 'cells')
    monkeypatch.setenv('ALLJAX_DATA', '~/other')
    assert datasets.located(DataOptions('folder')).root == str(tmp_path / 'other')
    monkeypatch.setenv('ALLJAX_CACHE', '~/cache')
    assert cache.folder('x') == tmp_path / 'cache' / 'x'
    assert resolve.find_start('alexnet', '~/run', demo=False).source == tmp_path / 'run'
