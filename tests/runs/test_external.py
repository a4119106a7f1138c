"""A run of one laboratory tested on another's cells: with its config, after its end, and what must not be compared."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from helpers import make_cells
from PIL import Image

from alljax import commands, predict
from alljax.commands import train
from alljax.config import resolve
from alljax.data import datasets
from alljax.data.all_idb import refuse_both, which
from alljax.errors import UserError
from alljax.runs import classical_system_kind, experiment, external, leak_audit, results
from alljax.storage import run_folder
from alljax.storage.card import Card
from configs import folder as folder_config

OLD = Path(__file__).parents[1] / 'older_release'
Y, X = np.mgrid[:64, :64]


def picture(radius, seed, light=(235, 210, 215)):
    """A nucleus of a radius on pale ground, with a pattern of its own."""
    rng = np.random.default_rng(seed)
    image = np.full((64, 64, 3), light, float)
    image[np.hypot(Y - 32, X - 32) < radius] = (95, 65, 145)
    dots = rng.uniform(8, 56, (30, 2))
    for row, column in dots:
        image[np.hypot(Y - row, X - column) < 3] += rng.normal(0, 30, 3)
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)


def write_set(root, classes, count, seed, light=(235, 210, 215)):
    """A folder of class folders: `classes` maps a name to a radius."""
    for place, (name, radius) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            cell = picture(radius, [seed, place, number], light)
            Image.fromarray(cell).save(root / name / f'{number:02}.png')
    return root


def values(data, **test):
    config = folder_config.get_config()
    config.data.root, config.data.size, config.data.equalize = str(data), 64, 'none'
    config.baseline.system, config.baseline.classify = 'chatap2014', ('pnn',)
    config.test.update({name: value if isinstance(value, int) else str(value) for name, value in test.items()})
    return config


def run(config, folder):
    return experiment.run(resolve.resolve(config, {'data.equalize'}), folder)


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
    """Laboratory A of two classes and B of three, one of which A does not have. Copy before changing."""
    top = tmp_path_factory.mktemp('laboratories')
    write_set(top / 'a', {'large': 18, 'small': 9}, 8, 0)
    write_set(top / 'b', {'LARGE': 18, 'Small': 9, 'tiny': 5}, 5, 1, light=(200, 190, 225))
    with (top / 'b' / 'groups.csv').open('w') as file:
        file.write('file,group\n')
        for name in ('LARGE', 'Small', 'tiny'):
            file.writelines(f'{name}/{number:02}.png,s{number % 3}\n' for number in range(5))
    return top


@pytest.fixture(scope='module')
def finished(sets, tmp_path_factory):
    """A run on A, tested on B as well. Copy it before changing it."""
    return run(values(sets / 'a', root=sets / 'b'), tmp_path_factory.mktemp('external') / 'run')


def rows(folder, name='external_predictions.csv'):
    return list(csv.DictReader((folder / name).open(newline='')))


def test_the_results_hold_both_sides(finished, sets):
    found = json.loads((finished / 'results.json').read_text())
    outside = found['external']
    assert (outside['name'], outside['n'], outside['root']) == ('b', 10, str(sets / 'b'))
    assert outside['left_out'] == {'tiny': 5}
    assert outside['labels'] == {'LARGE': 'large', 'Small': 'small'}
    assert (outside['grouping'], outside['groups']) == ('patient or slide', 3)
    assert outside['leak_audit'] == {
        'checked': True, 'reason': '', 'pairs': 0, 'first': [], 'file': 'external_pairs.csv'
    }  # fmt: skip
    assert not outside['leaky']
    table = rows(finished)
    right = [row['label'] == row['prediction'] for row in table]
    assert outside['accuracy'] == np.mean(right)
    recalls = [np.mean([r for r, row in zip(right, table, strict=True) if row['label'] == name]) for name in
               ('large', 'small')]  # fmt: skip
    assert outside['macro_recall'] == pytest.approx(np.mean(recalls))
    sure = [max(float(row['probability_large']), float(row['probability_small'])) for row in table]
    assert outside['mean_confidence'] == pytest.approx(np.mean(sure), abs=1e-5)
    assert outside['ece'] == outside['calibration_error']
    assert set(found['test']) <= set(outside)  # every measure of the inside
    assert list(table[0]) == list(rows(finished, 'predictions.csv')[0])
    assert 'external_predictions.csv' in found['files']
    assert len(results.external_predictions(finished, outside)) == 10
    assert (finished / 'external_pairs.csv').read_text() == 'file,other_file,kind,score,one_cell\n'


def test_the_report_puts_inside_and_outside_side_by_side(finished):
    page = (finished / 'report.html').read_text()
    for words in ('inside: a', 'outside: b', 'mean confidence', 'tiny 5', 'Sensitivity of small'):
        assert words in page, words
    assert 'Leaky external test' not in page


def test_its_probabilities_are_those_that_predict_gives(finished, sets):
    found = [row.probabilities for row in predict.predict(predict.load(finished), [sets / 'b' / 'LARGE'])]
    expected = [[float(row['probability_large']), float(row['probability_small'])] for row in rows(finished)[:5]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_transductive_run_takes_the_statistics_of_the_second_set(finished):
    class Shifted(NamedTuple):
        card: Card
        shift: float

    card = classical_system_kind.SYSTEM.load(finished).card
    kind = classical_system_kind.SYSTEM._replace(
        adapted=lambda run, images: run._replace(shift=float(images.mean())),
        set_predictor=lambda run: lambda images, batch_size: np.full((len(images), 2), run.shift),
    )
    cells = make_cells([0, 1, 0], size=96)
    found = external.probabilities_of(kind, Shifted(card, 0.0), cells)
    np.testing.assert_allclose(found, cells.images.mean())


def test_a_finished_run_is_tested_on_further_sets_without_its_own_cells(finished, sets, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(finished, folder)
    fields = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({**fields, 'data.root': str(tmp_path / 'gone')}))
    before = json.loads((folder / 'results.json').read_text())
    shutil.copytree(sets / 'b', tmp_path / 'c')
    (tmp_path / 'labels.csv').write_text('theirs,ours\ntiny,small\nSMALL,\n')
    command = [f'--evaluate_on={tmp_path / "c"}', f'--workdir={folder}', f'--labels={tmp_path / "labels.csv"}']
    assert train.main(command) == 0
    found = results.read(folder)
    first, second = results.externals(found)
    assert first == before['external']
    assert (second['name'], second['labels'], second['left_out']) == (
        'c', {'LARGE': 'large', 'tiny': 'small'}, {'Small': 5}
    )  # fmt: skip
    assert not second['leak_audit']['checked']
    assert 'gone' in second['leak_audit']['reason']
    assert {name: found[name] for name in ('test', 'data', 'split')} == {
        name: before[name] for name in ('test', 'data', 'split')
    }
    page = (folder / 'report.html').read_text()
    assert page.count('<h2>Inside and outside</h2>') == 1
    assert 'outside: c' in page
    assert 'could not be checked' in page
    assert train.main([command[0], command[1]]) == 0  # the same set again: in its place
    first, second = results.externals(results.read(folder))
    assert second['left_out'] == {'tiny': 5}
    assert {path.name for path in folder.glob('external_*')} == {
        'external_predictions.csv', 'external_predictions-2.csv', 'external_pairs.csv', 'external_pairs-2.csv'
    }  # fmt: skip
    assert [row['file'] for row in rows(folder, second['predictions'])] == [row['file'] for row in rows(folder)]


def test_a_copy_on_both_sides_makes_the_external_number_leaky(finished, sets, tmp_path):
    folder, other = tmp_path / 'run', tmp_path / 'b'
    shutil.copytree(finished, folder)
    shutil.copytree(sets / 'b', other)
    cells = sorted((sets / 'a' / 'large').iterdir())
    for number, path in enumerate(cells):
        turn = Image.Transpose.ROTATE_90 if number % 2 else Image.Transpose.FLIP_TOP_BOTTOM
        Image.open(path).transpose(turn).save(other / 'LARGE' / f'9{number}.png')
    tested = {row['file'] for row in rows(folder, 'predictions.csv')}
    trained = [path for path in cells if f'large/{path.name}' not in tested]
    shutil.copy(trained[0], other / 'LARGE' / 'same.png')
    outside = external.evaluate_on(folder, other)[-1]
    assert outside['leaky']
    pairs = {(pair['file'], pair['other_file']): pair for pair in rows(folder, 'external_pairs-2.csv')}
    assert len(pairs) == outside['leak_audit']['pairs']
    assert not {file for file, _ in pairs} & tested  # a test cell of A has not trained
    assert pairs[f'large/{trained[0].name}', 'LARGE/same.png']['kind'] == 'same file'
    assert {*pairs} >= {(f'large/{path.name}', f'LARGE/9{cells.index(path)}.png') for path in trained}
    page = (folder / 'report.html').read_text()
    assert 'Leaky external test' in page
    assert 'outside: b (leaky)' in page


@pytest.mark.parametrize(
    ('test', 'expected'),
    [
        ({'root': 'none'}, 'none: there is no such folder; correct --config.test.root'),
        ({'root': 'b', 'name': 'fodler'}, "config.test.name is 'fodler', did you mean 'folder'"),
        ({'labels': 'l.csv'}, 'config.test.labels without config.test.root'),
        ({'root': 'b', 'adapt_cells': 1, 'adapt_groups': 1}, 'exclude each other'),
        ({'root': 'b', 'adapt_groups': 3}, r'config.test.adapt_groups leaves no cell of .*b to test'),
        ({'root': 'c'}, r'its classes \(one, two\) have none in common with the training set \(large, small\)'),
        ({'root': 'b', 'labels': 'wrong.csv'}, r"tiny is said to be 'smal', did you mean 'small'"),
        ({'root': 'b', 'labels': 'more.csv'}, r'has no cells labelled huge, which the table'),
    ],
)
def test_what_cannot_be_tested_is_told_before_training(sets, tmp_path, monkeypatch, test, expected):
    (tmp_path / 'wrong.csv').write_text('theirs;ours\ntiny;smal\n')
    (tmp_path / 'more.csv').write_text('theirs,ours\nhuge,small\n')
    shutil.copytree(sets / 'b', tmp_path / 'b')
    write_set(tmp_path / 'c', {'one': 18, 'two': 9}, 2, 2)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=expected):
        run(values(sets / 'a', **test), tmp_path / 'run')
    assert not (tmp_path / 'run' / 'model').exists()


def test_a_run_that_is_evaluated_again_keeps_its_external_tests(finished, sets, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(finished, folder)
    train.main([f'--evaluate_on={shutil.copytree(sets / "b", tmp_path / "c")}', f'--workdir={folder}'])
    run(values(sets / 'a', root=sets / 'b'), folder)
    assert [entry['name'] for entry in results.externals(results.read(folder))] == ['b', 'c']


@pytest.mark.parametrize(('first', 'second'), [(600, 64), (64, 600), (64, 64)])
def test_all_idb_is_never_on_both_sides(first, second):
    def cells(width):
        made = make_cells([0, 1] * 3, size=8)
        names = tuple(f'some/folder/Im00{n}_{n % 2}.jpg' for n in range(6))
        return replace(made, names=names, sizes=np.full((6, 2), width, np.int32))

    assert which(make_cells([0, 1])) == ''
    assert which(cells(first)) == {600: 'ALL-IDB1', 64: 'ALL-IDB2'}[first]
    with pytest.raises(UserError, match=f'the training set is {which(cells(first))}; the cells of ALL-IDB2 are cut'):
        refuse_both(which(cells(first)), cells(second))
    refuse_both(which(cells(first)), make_cells([0, 1]))


def cells_of(root):
    return datasets.load(datasets.DataOptions('folder', str(root), 'classes', 64), 0)


def test_slides_of_the_second_set_train_and_none_of_them_is_tested(sets, tmp_path):
    folder = run(values(sets / 'a', root=sets / 'b', adapt_groups=1), tmp_path / 'run')
    found = results.read(folder)
    outside = found['external']
    assert outside['n'] + outside['adapted']['cells'] == 10
    assert outside['adapted']['groups'] == 1
    assert found['split']['train_n'] + found['split']['test_n'] == 16 + outside['adapted']['cells']
    assert found['split']['copies'] == 0
    assert len({row['group'] for row in rows(folder)}) == 2
    again = external.evaluate_on(folder, sets / 'b')  # the same cells, so those that trained stay out
    assert [entry['n'] for entry in again] == [outside['n']]
    assert again[0]['leak_audit']['checked']


def test_the_command_says_what_it_needs(finished, sets, capsys):
    for arguments, expected in (
        ([f'--evaluate_on={sets / "b"}'], '--evaluate_on needs --workdir=RUN'),
        ([f'--evaluate_on={sets / "b"}', f'--workdir={finished}', '--config.epochs=3'], 'which trains nothing'),
        (['--config=configs/folder.py', '--labels=x.csv'], '--labels goes with --evaluate_on'),
        ([f'--evaluate_on={sets / "none"}', f'--workdir={finished}'], 'no such folder; correct --evaluate_on'),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            commands.run('train', arguments)
        assert expected in capsys.readouterr().err


def test_a_run_of_an_earlier_release_is_no_other_config(tmp_path):
    fields = {'data.root': '/a', 'seed': 0}
    with run_folder.opened(tmp_path / 'run', fields):
        pass
    later = {'test.root': '', 'split.train_cells': 0}
    assert run_folder.differences(tmp_path / 'run', {**fields, **later}, later) == []
    assert run_folder.differences(tmp_path / 'run', {**fields, **later, 'test.root': '/b'}, later) == [
        "test.root: '' there, '/b' now"
    ]


def test_a_network_of_an_earlier_release_is_tested_too(tmp_path):
    folder, other = tmp_path / 'run', tmp_path / 'other laboratory'
    shutil.copytree(OLD / 'run', folder)
    fields = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({**fields, 'data.root': str(tmp_path / 'gone')}))
    for name, picture_file in (('l3', 'Im031_1.png'), ('Normal', 'Im070_0.png')):
        (other / name).mkdir(parents=True)
        shutil.copy(OLD / 'images' / picture_file, other / name / 'one.png')
    (outside,) = external.evaluate_on(folder, other)
    assert (outside['accuracy'], outside['n'], outside['name']) == (1.0, 2, 'other laboratory')
    table = [[float(row[f'probability_{name}']) for name in ('L1', 'L2', 'L3', 'normal')] for row in rows(folder)]
    expected = [[0.339932, 0.164803, 0.018907, 0.476358], [0.010024, 0.120271, 0.869623, 0.000083]]
    np.testing.assert_allclose(table, expected, atol=1e-4)  # the same as in tests/storage/test_older_release.py
    assert outside['mean_confidence'] == pytest.approx((0.476358 + 0.869623) / 2, abs=1e-4)
    assert results.read(folder)['external'] == outside
    assert not outside['leak_audit']['checked']


def test_a_pair_search_is_done_once(sets, monkeypatch):
    cells = cells_of(sets / 'a')
    assert leak_audit.between(cells, np.arange(16), cells_of(sets / 'b'), np.arange(15)).pairs == ()
    monkeypatch.setattr('alljax.data.audit.pairs_between', lambda *_: pytest.fail('searched again'))
    assert leak_audit.between(cells, np.arange(16), cells_of(sets / 'b'), np.arange(15)).pairs == ()
