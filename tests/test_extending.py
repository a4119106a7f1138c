"""A data set, a classical system, an attribution method of the user's own: one file each, run end to end.

A network of the user's own is in test_readme.py, with what else the pages show.
"""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alljax import baselines, commands, config
from alljax.config import resolve
from alljax.data.datasets import DATASETS
from alljax.explain import METHODS
from alljax.models import MODELS
from alljax.runs import experiment

ROOT = Path(__file__).parents[1]
TINY = {'model.name': 'mine', 'model.init': 'random', 'model.head': '8', 'data.size': '64', 'epochs': '1',
        'split.test': '0.5', 'augment.copies': 'fresh'}  # fmt: skip


def blocks():
    """The README's Python under "Extending"."""
    section = (ROOT / 'README.md').read_text().partition('\n## Extending\n')[2].partition('\n## ')[0]
    return re.findall(r'```python\n(.*?)```', section, re.DOTALL)


def written(folder, *names):
    """The file of a user, mine.py, with the block of each dictionary, of which the last says what is run."""
    path = folder / 'mine.py'
    path.write_text('\n'.join(code for name in names for code in blocks() if f"{name}['mine']" in code))
    assert all(path.read_text().count(f"{name}['mine']") == 1 for name in names)
    return path


@pytest.fixture(autouse=True)
def forget():
    """Takes what joined out of the dictionaries, as in a process that never knew of it."""
    known = (DATASETS, MODELS, METHODS, baselines.SEGMENTS, baselines.SYSTEMS)
    before = [dict(each) for each in known]

    def put_back():
        for each, old in zip(known, before, strict=True):
            each.clear()
            each.update(old)

    yield put_back
    put_back()


@pytest.fixture
def command(forget, capsys):
    """The exit code and the words of a command that knows of `mine` from --config alone."""

    def run(name, *arguments):
        forget()
        try:
            code = commands.run(name, [*map(str, arguments)])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def trained_run(path, folder, **given):
    """A run of a config file at tiny size, with these fields besides."""
    values = config.load(path)
    fields = {**TINY, **{name.replace('__', '.'): value for name, value in given.items()}}
    config.override(values, fields)
    return experiment.run(resolve.resolve(values, fields), folder)


def results(run):
    return json.loads((run / 'results.json').read_text())


@pytest.fixture(scope='module')
def first_run(tmp_path_factory):
    """A run of the data set and the network of the user, and its config file."""
    folder = tmp_path_factory.mktemp('data_set')
    rng = np.random.default_rng(0)
    (folder / 'cells').mkdir()
    for number in range(24):
        name = f'{("blast", "normal")[number % 2]}_slide{number // 6}_{number}.png'
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / 'cells' / name)
    path = written(folder, 'MODELS', 'DATASETS')
    yield trained_run(path, folder / 'run', data__root=str(folder / 'cells'))
    for joined in (MODELS, DATASETS):
        joined.pop('mine', None)


@pytest.mark.slow
def test_a_data_set_trains_a_run(first_run):
    found = results(first_run)
    assert found['data']['name'] == 'mine'
    assert found['data']['counts'] == {'blast': 12, 'normal': 12}
    assert not found['demo']
    assert found['split']['groups'] == {'train': 2, 'validation': 0, 'test': 2}
    with (first_run / 'predictions.csv').open() as file:
        assert {row['group'] for row in csv.DictReader(file)} < {f'slide{number}' for number in range(4)}


@pytest.mark.slow
def test_a_classical_system_trains_and_predicts(tmp_path, drawn, command):
    path = written(tmp_path, 'MODELS', 'SYSTEMS')
    run = trained_run(path, tmp_path / 'run', data__root=str(drawn))
    found = results(run)
    assert found['model'] == {'name': 'mine', 'parts': 'mine → nucleus shape and glcm → svm'}
    assert found['segmentation']['nucleus_dice'] > 0.3
    image = next(drawn.rglob('*.tif'))
    code, said = command('predict', run, image, '--config', path)
    assert code == 0, said
    assert image.name in said
    code, said = command('predict', run, image)
    assert code == 2
    assert "there is no segmentation 'mine'; if it is your own, run its file first" in said


@pytest.mark.slow
def test_an_attribution_method_explains_an_image(first_run, tmp_path, drawn, command):
    path = written(tmp_path, 'MODELS', 'METHODS')
    image = next(drawn.rglob('*.tif'))
    arguments = (first_run, image, '--methods=mine', '--to', tmp_path / 'maps')
    code, said = command('explain', *arguments, '--config', path)
    assert code == 0, said
    assert 'Gradient' in (tmp_path / 'maps' / 'index.html').read_text()
    assert list((tmp_path / 'maps').glob('*-mine.png'))
    code, said = command('explain', *arguments)
    assert code == 2
    assert "there is no method 'mine'" in said
