"""A run of one laboratory tested on another's cells: with its config, after its end, and what must not be compared."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from alljax import commands
from alljax.commands import baselines, train
from alljax.config import resolve
from alljax.errors import UserError
from alljax.runs import experiment, external, leak_audit, results
from alljax.storage import run_folder
from configs import folder as folder_config

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
    config.baseline.system = 'chatap2014'
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
    from alljax import predict

    found = [row.probabilities for row in predict.predict(predict.load(finished), [sets / 'b' / 'LARGE'])]
    expected = [[float(row['probability_large']), float(row['probability_small'])] for row in rows(finished)[:5]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


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
    np.testing.assert_equal(
        [row['file'] for row in rows(folder, second['predictions'])], [r['file'] for r in rows(folder)]
    )


def test_a_run_that_is_evaluated_again_keeps_its_external_tests(finished, sets, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(finished, folder)
    train.main([f'--evaluate_on={shutil.copytree(sets / "b", tmp_path / "c")}', f'--workdir={folder}'])
    run(values(sets / 'a', root=sets / 'b'), folder)
    assert [entry['name'] for entry in results.externals(results.read(folder))] == ['b', 'c']


def test_a_copy_on_both_sides_makes_the_external_number_leaky(sets, tmp_path):
    shutil.copytree(sets / 'b', tmp_path / 'b')
    trained = next(row for row in sorted((sets / 'a' / 'large').iterdir()))
    for number, path in enumerate(sorted((sets / 'a' / 'large').iterdir())):
        turned = Image.open(path).transpose(
            Image.Transpose.ROTATE_90 if number % 2 else Image.Transpose.FLIP_TOP_BOTTOM
        )
        turned.save(tmp_path / 'b' / 'LARGE' / f'9{number}.png')
    shutil.copy(trained, tmp_path / 'b' / 'LARGE' / 'same.png')
    folder = run(values(sets / 'a', root=tmp_path / 'b'), tmp_path / 'run')
    found = results.read(folder)
    outside, tested = found['external'], {row['file'] for row in rows(folder, 'predictions.csv')}
    assert outside['leaky']
    pairs = rows(folder, 'external_pairs.csv')
    assert len(pairs) == outside['leak_audit']['pairs'] > 0
    assert not {pair['file'] for pair in pairs} & tested  # a test cell of A has not trained
    expected = {f'large/{n:02}.png': f'LARGE/9{n}.png' for n in range(8) if f'large/{n:02}.png' not in tested}
    assert {(pair['file'], pair['other_file']) for pair in pairs} >= set(expected.items())
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


def test_all_idb_is_never_on_both_sides(sets, tmp_path):
    for folder, pixels in (('one', 600), ('two', 64)):
        for place, name in enumerate(('large', 'small')):
            (tmp_path / folder / name).mkdir(parents=True)
            for number in range(4):
                cell = Image.fromarray(picture(9, [5, place, number])).resize((pixels, pixels))
                cell.save(tmp_path / folder / name / f'Im{number + 4 * place:03}_{1 - place}.png')
    for first, second, told in (('one', 'two', 'is ALL-IDB2, and the training set is ALL-IDB1'),
                                ('two', 'one', 'is ALL-IDB1, and the training set is ALL-IDB2')):  # fmt: skip
        with pytest.raises(UserError, match=told):
            run(values(tmp_path / first, root=tmp_path / second), tmp_path / 'run')
    assert external.external.all_idb(resolve_cells(sets / 'a')) == ''


def resolve_cells(root):
    from alljax.data import datasets

    return datasets.load(datasets.DataOptions('folder', str(root), 'classes', 64), 0)


@pytest.mark.parametrize('field', ['adapt_cells', 'adapt_groups'])
def test_cells_of_the_second_set_train_and_none_of_their_groups_is_tested(sets, tmp_path, field):
    folder = run(values(sets / 'a', root=sets / 'b', **{field: 1}), tmp_path / 'run')
    found = results.read(folder)
    outside = found['external']
    assert outside['n'] + outside['adapted']['cells'] + outside['adapted']['set_aside'] == 10
    assert outside['adapted']['groups'] == (1 if field == 'adapt_groups' else outside['adapted']['groups'])
    if field == 'adapt_cells':
        assert outside['adapted']['counts'] == {'large': 1, 'small': 1}
    assert found['split']['train_n'] + found['split']['test_n'] == 16 + outside['adapted']['cells']
    tested = {row['group'] for row in rows(folder)}
    assert len(tested) + outside['adapted']['groups'] == 3
    again = external.evaluate_on(folder, sets / 'b')  # the same cells, so those that trained stay out
    assert [entry['n'] for entry in again] == [outside['n']]
    assert again[0]['leak_audit']['checked']


def test_the_command_says_what_it_needs(finished, sets, capsys):
    for arguments, expected in (
        ([f'--evaluate_on={sets / "b"}'], '--evaluate_on needs --workdir=RUN'),
        ([f'--evaluate_on={sets / "b"}', f'--workdir={finished}', '--config.epochs=3'], 'which trains nothing'),
        (['--config=configs/folder.py', '--labels=x.csv'], '--labels goes with --evaluate_on'),
        ([f'--evaluate_on={sets / "none"}', f'--workdir={finished}'], 'none: there is no such folder; correct --evaluate_on'),
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


def test_a_pair_search_is_done_once(sets, monkeypatch):
    cells = resolve_cells(sets / 'a')
    assert leak_audit.between(cells, np.arange(16), resolve_cells(sets / 'b'), np.arange(15)).pairs == ()
    monkeypatch.setattr('alljax.data.audit.pairs_between', lambda *_: pytest.fail('searched again'))
    assert leak_audit.between(cells, np.arange(16), resolve_cells(sets / 'b'), np.arange(15)).pairs == ()
    assert baselines  # imported as a command would be
