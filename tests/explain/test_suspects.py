"""The training cells whose label the others contradict: found among made features, and on the page of a real run."""

import shutil

import jax
import numpy as np
import pytest

from alljax.commands import explain
from alljax.data.cells import Cells, Origin
from alljax.errors import UserError
from alljax.explain import linear_head, suspects, suspects_page
from alljax.models import create
from alljax.runs.network import TrainedNetwork
from alljax.storage.card import Card
from alljax.storage.text_files import csv_rows

COUNT, CLASSES, WRONG = 60, ('blast', 'normal'), [3, 10]


def cells(labels, repeats):
    images = np.random.default_rng(0).integers(0, 255, (COUNT, 8, 8, 3), np.uint8)
    names = tuple(f'{number}.png' for number in range(COUNT))
    groups = np.arange(COUNT, dtype=np.int32)
    return Cells(images, labels, groups, repeats, names, CLASSES, names, Origin('folder', '', False, '/cells'))


@pytest.fixture(scope='module')
def found():
    """Cells of two classes that are easily told apart, two of them with the label of the other; 0 repeats 3."""
    truth = np.arange(COUNT, dtype=np.int32) % 2
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(COUNT, 6)) + 4 * np.outer(truth, [1, -1, 0, 0, 0, 0])
    rows[0] = rows[3] + 0.01
    labels, repeats = np.where(np.isin(np.arange(COUNT), WRONG), 1 - truth, truth), np.full(COUNT, -1, np.int32)
    labels[0], repeats[[0, 3]] = truth[3], 7
    made = cells(labels.astype(np.int32), repeats)
    features = linear_head.standardized(rows)
    foreseen = linear_head.foreseen(features, made, 2)
    said = np.full((COUNT, 2), 0.5)
    return suspects.ranked(CLASSES, suspects.Table(made, features, said, *foreseen), ['Some note.'])


def test_wrong_labels_come_first_with_the_cells_that_contradict_them(found):
    first = found.cells[: len(WRONG)]
    assert {one.name for one in first} == {f'{number}.png' for number in WRONG}
    for one in first:
        assert one.suggested != one.label
        assert one.suggested_probability > 0.5 > one.probability
        assert {neighbor.label for neighbor in one.against} == {one.suggested}
        assert {neighbor.label for neighbor in one.beside} <= {one.label}
    scores = [one.score for one in found.cells]
    assert scores == sorted(scores, reverse=True)
    assert found.shown == 3
    assert not found.cells[found.shown].against


def test_another_picture_of_the_cell_is_named(found):
    one = next(one for one in found.cells if one.name == '3.png')
    assert one.repeats == ['0.png (normal)']
    assert one.against[0].name == '0.png'
    assert one.against[0].repeat


def test_pictures_of_one_cell_are_in_one_fold():
    repeats = np.arange(COUNT, dtype=np.int32) // 3
    folds = linear_head.folds_of(cells(np.zeros(COUNT, np.int32), repeats))
    assert len(set(zip(repeats.tolist(), folds.tolist(), strict=True))) == COUNT // 3
    assert set(folds) == set(range(linear_head.FOLDS))
    alone = linear_head.folds_of(cells(np.zeros(COUNT, np.int32), np.full(COUNT, -1, np.int32)))
    assert np.bincount(alone).max() == COUNT // linear_head.FOLDS


def test_features_are_standardized_and_constant_ones_are_zero():
    rows = linear_head.standardized(np.random.default_rng(0).normal(3, 5, (9, 2, 2, 4)) * [1, 1, 1, 0])
    np.testing.assert_allclose(rows[:, -1], 1)
    np.testing.assert_allclose((rows[:, :-1] ** 2).sum(1).mean(), 1, rtol=1e-5)
    assert not rows[:, 3].any()


def test_the_table_and_the_page_name_labels_and_what_the_others_say(found):
    rows = csv_rows(suspects.as_csv(found))
    assert len(rows) == COUNT
    assert rows[0]['rank'] == '1'
    assert {rows[0]['file'], rows[1]['file']} == {'3.png', '10.png'}
    assert float(rows[0]['score']) == pytest.approx(-np.log(float(rows[0]['probability_of_label'])), abs=1e-3)
    assert '0.png (normal)' in {row['repeats'] for row in rows}
    model = create('alexnet', 2, width=0.05)
    run = TrainedNetwork(model, jax.eval_shape(model.init, jax.random.key(0)), Card(CLASSES))
    page = suspects_page.render(run, 'my run', found)
    assert page.count('<article') == found.shown
    assert 'the same cell: 0.png (normal)' in page
    assert 'Some note.' in page
    assert 'src="http' not in page
    assert suspects_page.figure(found).startswith(b'\x89PNG')
    lines = suspects_page.lines(found)
    assert lines[1].startswith(f'  1. {found.cells[0].name}: {found.cells[0].label} (')
    assert any('0.png (normal) shows the same cell' in line for line in lines)


def test_small_probabilities_keep_a_digit():
    assert [suspects_page.share(value) for value in (0.0, 0.004, 0.23, 0.9999)] == ['<0.1%', '0.4%', '23%', '100.0%']


def test_one_page_at_a_time_and_no_images(tmp_path):
    with pytest.raises(UserError, match='--summary and --suspects: each asks for a page of its own'):
        explain.main([str(tmp_path), '--summary', '--suspects'])
    with pytest.raises(UserError, match='--suspects asks for the run’s own training cells; leave the images out'):
        explain.main([str(tmp_path), str(tmp_path), '--suspects'])


@pytest.mark.slow
def test_the_command_writes_the_page_of_a_run_and_tells_what_lacks_cells(trained_run, tmp_path, capsys):
    assert explain.main([str(trained_run), '--suspects', '--to', str(tmp_path / 'out')]) == 0
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'suspects.csv', 'suspects.html', 'suspects.png'}
    page = (tmp_path / 'out' / 'suspects.html').read_text()
    assert 'synthetic cells' in page
    assert 'trained more than its last layers' in page
    assert 'others say' in capsys.readouterr().out
    with pytest.raises(UserError, match='is not empty; name a new folder'):
        explain.main([str(trained_run), '--suspects', '--to', str(tmp_path / 'out')])
    shutil.copytree(trained_run / 'model', tmp_path / 'alone')
    with pytest.raises(UserError, match=r'holds no config\.json'):
        explain.main([str(tmp_path / 'alone'), '--suspects', '--to', str(tmp_path / 'other')])
    assert not (tmp_path / 'other').exists()
