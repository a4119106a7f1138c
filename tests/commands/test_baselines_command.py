"""`alljax baselines`: beside a run, on a folder, and for masks only."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from alljax.baselines.systems import SYSTEMS
from alljax.commands import baselines
from alljax.errors import UserError
from alljax.storage import run_folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Two classes of pictures that any system tells apart: small and large nuclei, on their slides."""
    root = tmp_path_factory.mktemp('cells') / 'cells'
    y, x = np.mgrid[:96, :96]
    rng, rows = np.random.default_rng(0), []
    for number in range(40):
        label = ('large', 'small')[number % 2]
        picture = np.full((96, 96, 3), (235, 210, 215), float)
        radius = (26, 13)[number % 2] + rng.normal(0, 1)
        picture[np.hypot(y - 48, x - 48) < radius + 5] = (190, 175, 220)
        picture[np.hypot(y - 48, x - 48) < radius] = (95, 65, 145)
        (root / label).mkdir(parents=True, exist_ok=True)
        noisy = (picture + rng.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / label / f'{number:02}.png')
        rows.append((f'{label}/{number:02}.png', label, f'slide{number // 4}'))
    with (root / 'cells.csv').open('w', newline='') as file:
        csv.writer(file).writerows([('file', 'label', 'group'), *rows])
    return root


@pytest.fixture(scope='module')
def first(folder, tmp_path_factory):
    top = tmp_path_factory.mktemp('peers')
    config, place = top / 'small.py', top / 'first'  # pictures of fewer pixels
    config.write_text('from alljax import config\n\n\ndef get_config():\n    values = config.defaults()\n'
                      '    values.data.size = 160\n    return values\n')  # fmt: skip
    assert baselines.main(['chatap2014', str(folder), '--workdir', str(place), '--config', str(config)]) == 0
    return place


def test_the_settings_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='empty: holds nothing'):
        baselines.main(['chatap2014', 'empty'])


@pytest.mark.slow
def test_a_folder_of_class_folders_is_trained_and_tested(first):
    found = json.loads((first / 'results.json').read_text())
    assert found['data']['name'] == 'folder'
    assert found['split']['protocol'] == 'grouped'
    assert found['test']['accuracy'] == 1
    assert found['segmentation'] == {'nothing_found_in_test': 0.0}  # no truth to measure it against
    assert 'any in which nothing was found first' in (first / 'report.html').read_text()


@pytest.mark.slow
def test_beside_a_run_it_takes_its_cells_and_compares(first, capsys):
    assert baselines.main(['li2016', str(first)]) == 0
    out = capsys.readouterr().out
    assert 'li2016 100.0%, chatap2014 100.0% of 16 cells' in out
    assert 'McNemar p = 1' in out
    mine = first.with_name('first-li2016')
    names = [list(csv.DictReader((run / 'predictions.csv').open())) for run in (first, mine)]
    assert [row['file'] for row in names[0]] == [row['file'] for row in names[1]]


def test_masks_and_measurements_of_any_images(folder, tmp_path, capsys):
    assert baselines.main(['moradiamin2015_fcm', str(folder), '--measure', str(tmp_path / 'out')]) == 0
    assert '40 images, nothing found in 0' in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / 'out' / 'measured.csv').open()))
    assert len(rows) == 40
    areas = {
        label: [float(r['nucleus area']) for r in rows if r['file'].startswith(label)] for label in ('large', 'small')
    }
    assert min(areas['large']) > 2 * max(areas['small'])
    mask = np.asarray(Image.open(tmp_path / 'out' / 'masks' / f'{rows[0]["file"]}.png'))
    assert set(np.unique(mask)) == {0, 1, 2}
    assert (mask == 2).sum() == float(rows[0]['nucleus area'])


def test_what_is_found_is_scored_against_masks_beside_the_images(tmp_path, capsys, fine_figures):
    y, x = np.mgrid[:96, :96]
    away = np.hypot(y - 48, x - 48)
    for name in ('a', 'b', 'c'):
        picture = np.where(away[..., None] < 20, (190, 175, 220), (235, 210, 215)).astype(np.uint8)
        picture[away < 15] = (95, 65, 145)
        (tmp_path / 'cells').mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / 'cells' / f'{name}.png')
        if name != 'c':
            Image.fromarray(255 * (away < 20).astype(np.uint8)).save(tmp_path / 'cells' / f'{name}_mask.png')
    place, out = str(tmp_path / 'cells'), tmp_path / 'out'
    assert baselines.main(['rawat2017', place, '--measure', str(out), '--truth', place]) == 0
    said = capsys.readouterr().out
    assert '3 images, nothing found in 0' in said
    assert "2 masks of two levels: 255 is taken for the cell, since no name of theirs holds 'nucleus'" in said
    assert 'no mask of c.png: not scored' in said
    assert 'cell: Dice 0.99' in said or 'cell: Dice 1.0' in said
    assert 'below 0.8 in 0 of 2' in said
    rows = list(csv.DictReader((out / 'scores.csv').open()))
    assert [row['file'] for row in rows] == ['a.png', 'b.png', 'c.png']
    assert float(rows[0]['cell dice']) > 0.98
    assert rows[0]['nucleus dice'] == rows[2]['cell dice'] == ''
    assert Image.open(out / 'worst.png').size[0] > 500


def test_the_list_names_every_system(capsys):
    assert baselines.main(['--list']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SYSTEMS)
    assert 'yellow' not in lines[0]


def test_what_cannot_be_is_told(folder, tmp_path):
    (tmp_path / 'used' / 'before').mkdir(parents=True)
    for arguments, words in (
        (['putzu'], "is no system, did you mean 'putzu2014'"),
        ([], 'name a system; they are'),
        (['putzu2014'], 'name a run or a folder'),
        (['putzu2014', str(tmp_path / 'none')], 'there is no such folder'),
        (['vogado2017', str(folder), '--measure', str(tmp_path / 'x')], 'so there are no masks'),
        (['putzu2014', str(folder), '--measure', str(tmp_path / 'used')], 'is not an empty folder'),
        (['putzu2014', str(folder), '--config', 'nowhere.py'], 'there is no such file'),
        (['putzu2014', str(folder), '--truth', str(folder)], '--truth belongs to --measure'),
        (['unet', str(folder), '--weights', 'x'], '--weights belongs to --measure'),
        (['unet', str(folder), '--measure', str(tmp_path / 'w'), '--weights', 'x'], 'cannot be read as the weights'),
        (['putzu2014', str(folder), '--measure', str(tmp_path / 'v'), '--weights', 'x'], 'has none; leave them out'),
        (['putzu2014', str(folder), '--measure', str(tmp_path / 'z'), '--truth', str(tmp_path / 'q')], 'of masks'),
    ):
        with pytest.raises(UserError, match=words):
            baselines.main(arguments)
    (tmp_path / 'begun').mkdir()
    run_folder.write_json(tmp_path / 'begun' / 'config.json', {'seed': 0})
    with pytest.raises(UserError, match='is not finished'):
        baselines.main(['putzu2014', str(tmp_path / 'begun')])
    (tmp_path / 'begun' / 'results.json').write_text('{}')
    with pytest.raises(UserError, match='older release'):
        baselines.main(['putzu2014', str(tmp_path / 'begun')])
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'a.png').write_bytes(b'nothing')
    with pytest.raises(UserError, match=r'a.png: is no image'):
        baselines.main(['putzu2014', str(tmp_path / 'images'), '--measure', str(tmp_path / 'y')])
