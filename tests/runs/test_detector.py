"""A detector, from boxes to a finder: it learns painted cells, finds each once at any seam, and says what it is."""

import csv
import json
import shutil

import flax.linen as nn
import numpy as np
import painted_field as painted
import pytest
from helpers import save_untrained_run
from PIL import Image

from alljax import config, models, sweep
from alljax.commands import find, smear
from alljax.config import detector_fields, resolve
from alljax.errors import UserError
from alljax.fields import detector, detector_windows, field_image, tiles
from alljax.models import Input, Network
from alljax.runs import detector as detector_fit
from alljax.runs import detector_run, kinds
from configs import detect

CELLS = [painted.CENTERS, painted.CENTERS[:4] + np.array([14, 9])]


class Small(nn.Module):
    """A network with a map of a position every 8 pixels."""

    head: nn.Module

    @nn.compact
    def __call__(self, x, *, train=False):
        for name, channels in (('one', 8), ('two', 8), ('three', 12)):
            x = nn.relu(nn.Conv(channels, (3, 3), 2, name=name)(x))
        return self.head(x.mean((1, 2)))


@pytest.fixture(scope='module', autouse=True)
def small():
    models.MODELS['small'] = Network(Small, Input(64))
    yield
    del models.MODELS['small']


@pytest.fixture(scope='module')
def fields(tmp_path_factory):
    folder = tmp_path_factory.mktemp('painted')
    rows = []
    for number, cells in enumerate(CELLS):
        Image.fromarray(painted.field(cells)).convert('L').save(folder / f'{number}.png')
        side = [painted.SMALL if place in (1, 2) else painted.WHITE for place in range(len(cells))]
        rows += [(f'{number}.png', x - w / 2, y - w / 2, w, w, 'white') for (x, y), w in zip(cells, side, strict=True)]
    with (folder / 'boxes.csv').open('w', newline='') as file:
        csv.writer(file).writerows([('field', 'left', 'top', 'width', 'height', 'label'), *rows])
    return folder


def plan(root, **changes):
    values = detect.get_config()
    given = {'data.root': str(root), 'model.name': 'small', 'model.init': 'random', 'model.width': '8',
             'data.views': '3', 'steps': '120', 'batch_size': '4', 'split.folds': '2'}  # fmt: skip
    config.override(values, given | changes)
    return detector_fields.resolve(values)


@pytest.fixture(scope='module')
def run(fields, tmp_path_factory):
    return detector_run.run(plan(fields), tmp_path_factory.mktemp('run') / 'detector')


@pytest.mark.slow
def test_a_run_keeps_a_detector_its_scores_by_fold_and_its_threshold(run, fields):
    results = json.loads((run / 'results.json').read_text())
    trained = detector.load(run)
    assert results['split']['fold_of'] in ([0, 1], [1, 0])
    assert results['model']['threshold'] == trained.threshold
    assert [one['marked'] for one in results['test']['fields']] == [len(cells) for cells in CELLS]
    assert trained.card.train['fields'] == ['0.png', '1.png']
    with pytest.raises(UserError, match='holds a detector, which finds white cells and knows no classes'):
        kinds.of_model(run)
    with pytest.raises(UserError, match='is the run of a detector of white cells, which has no classes'):
        resolve.of_run(run)


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_first_fold_that_was_not_done(run, fields, tmp_path, monkeypatch):
    folder, fitted, few = tmp_path / 'run', [], {'data.views': '1', 'steps': '1', 'data.cell_pixels': '60'}
    head, asked = detector.load(run).variables[detector.LEARNED], []

    def fit(plan, learned, places):
        if len(fitted) == 1 and not asked:
            raise KeyboardInterrupt
        fitted.append(sorted(places))
        return head

    monkeypatch.setattr(detector_fit, 'fit', fit)
    with pytest.raises(KeyboardInterrupt):
        detector_run.run(plan(fields, **few), folder)
    assert not (folder / 'results.json').exists()
    asked.append('again')
    detector_run.run(plan(fields, **few), folder)
    assert sorted(fitted) == [[0], [0, 1], [1]]  # each once
    found = [row['field'] for row in csv.DictReader((folder / 'detections.csv').open(newline=''))]
    counts = json.loads((folder / 'results.json').read_text())['test']['fields']
    assert [found.count(one['field']) for one in counts] == [one['found'] for one in counts]
    assert min(one['hits'] for one in counts) > 0  # of the fold that was kept, too

    (folder / 'report.html').unlink()  # as in a run of an earlier release: written again, and nothing is trained
    detector_run.run(plan(fields, **few), folder)
    assert (folder / 'report.html').is_file()
    assert len(fitted) == 3

    changed = shutil.copytree(fields, tmp_path / 'changed')
    table = (changed / 'boxes.csv').read_text()
    (changed / 'boxes.csv').write_text(table[: table.rindex('1.png')])
    (folder / 'results.json').unlink()
    with pytest.raises(UserError, match='was trained on other fields than those now in '):
        detector_run.run(plan(changed, **few), folder)


@pytest.mark.slow
def test_the_report_has_scores_by_field_and_shows_what_was_missed(run, open_page):
    page = open_page(run / 'report.html')
    said = page.locator('main').inner_text()
    results = json.loads((run / 'results.json').read_text())
    f1 = results['test']['criteria']['half a cell']['f1']
    assert f'F1 {f1:.1%}' in said
    assert 'slides unknown' in said
    counts = [(one['field'], one['marked'], one['found']) for one in results['test']['fields']]
    rows = [
        row.locator('th, td').all_inner_texts()
        for row in page.locator('section', has_text='Field by field').locator('tbody tr').all()
    ]
    assert sorted((row[0], int(row[2]), int(row[3])) for row in rows) == counts
    wrong = [one for one in results['test']['fields'] if not one['marked'] == one['found'] == one['hits']]
    shown = page.locator('figure.field')
    assert shown.count() == (len(wrong) or len(counts))
    kinds = {kind: page.locator(f'figure.field rect.{kind}').count() for kind in ('hit', 'false', 'missed')}
    of = wrong or results['test']['fields']
    assert kinds == {
        'hit': sum(one['hits'] for one in of),
        'false': sum(one['found'] - one['hits'] for one in of),
        'missed': sum(one['marked'] - one['hits'] for one in of),
    }


def test_a_dry_run_says_what_it_would_learn_from(fields, capsys):
    values = detect.get_config()
    config.override(values, {'data.root': str(fields), 'split.folds': '2', 'steps': '7'})
    assert sweep.launch(values, 'configs/detect.py', {}, dry_run=True)
    said = capsys.readouterr().out
    assert '2 fields with 10 white cells (csv) in' in said
    assert '2 folds by field, and a last detector on all fields: 21 steps of training' in said
    assert 'config.steps: 7' in said


@pytest.mark.slow
def test_cells_of_a_field_without_color_are_found_each_once_wherever_tiles_are_cut(run, fields):
    field = field_image.open_field(fields / '0.png')
    ask = detector.finder(detector.load(run))
    whole = tiles.find(field, float(painted.WHITE), finder=ask).found
    away = np.hypot(*(whole.centers[:, None] - painted.CENTERS).transpose(2, 0, 1))
    assert (away.min(0) < painted.WHITE / 4).sum() >= len(painted.CENTERS) - 1  # it saw the field in training
    cut = tiles.find(field, float(painted.WHITE), finder=ask, side=97).found
    assert len(cut.boxes) == len(whole.boxes)
    assert np.abs(cut.centers - whole.centers).max() < 2


@pytest.mark.slow
def test_the_command_scores_it_and_says_that_it_has_seen_these_fields(run, fields, tmp_path, capsys):
    code = find.main([str(fields), '--detector', str(run), '--json', str(tmp_path / 'scores.json')])
    said = capsys.readouterr().out
    assert code == 0
    assert 'by half a cell:' in said
    assert 'leaky: the detector was trained on 2 of these fields' in said
    assert json.loads((tmp_path / 'scores.json').read_text())['detection']['fields'][0]['marked'] == 6


@pytest.mark.slow
def test_a_smear_finds_cells_with_it_where_colors_tell_none(run, fields, tmp_path, capsys):
    classes, out = save_untrained_run(tmp_path / 'run', 96), tmp_path / 'out'
    given = [str(classes), str(fields), '--to', str(out), '--truth', str(fields)]
    with pytest.raises(UserError, match='none of the fields can be searched'):
        smear.main(given)
    assert 'shows no color' in capsys.readouterr().out
    assert smear.main([*given, '--detector', str(run)]) == 0
    said = capsys.readouterr().out
    assert 'by half a cell: ' in said
    assert 'leaky: the detector was trained on 2 of these fields' in said
    found = list(csv.DictReader((out / 'cells.csv').open(newline='')))
    assert sum(f'{len([row for row in found if row["field"].endswith(name)])} white cells' in said
               for name in ('0.png', '1.png')) == 2  # fmt: skip
    assert len(found) >= 6
    with pytest.raises(UserError, match='gives classes of cells and finds none; name the folder of a detector'):
        smear.main([*given[:3], str(tmp_path / 'other'), '--detector', str(classes)])


def test_what_is_to_be_said_of_boxes_is_read_back_as_these_boxes():
    boxes = np.array([[20, 30, 40, 36], [100, 50, 30, 44]], float)
    heat, sides = detector_windows.targets(boxes, 20, 24)
    back = detector_windows.cells(heat, 0.5, 24 * 8, 20 * 8)
    assert np.allclose(back.boxes, boxes, atol=1e-4)
    assert sides.sum() >= 2


def test_positions_of_a_tile_are_those_of_the_whole_picture():
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    part = detector_windows.scaled(pixels[:, 21:], 0.7, left=21.0)
    whole = detector_windows.scaled(pixels, 0.7)
    assert part.left % 8 == 0
    inner = whole.pixels[:, part.left + 3 : whole.width - 3].astype(int)
    assert np.abs(inner - part.pixels[:, 3 : 3 + inner.shape[1]]).max() <= 1


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'data.root': ''}, 'config.data.root is missing; name the folder of the fields and their boxes'),
        ({'model.name': 'smal'}, "config.model.name is 'smal', did you mean 'small'"),
        ({'split.folds': '1'}, 'config.split.folds is 1; it has to lie between 2 and 1000'),
    ],
)
def test_mistakes_in_a_config_are_told_before_a_field_is_read(fields, changes, words):
    with pytest.raises(UserError, match=words):
        plan(fields, **changes)


def test_every_field_has_a_place_in_the_plan():
    assert len(detector_fields.DetectorPlan._fields) == len(detector_fields.DETECTOR_FIELDS)  # `fields`, less `kind`
