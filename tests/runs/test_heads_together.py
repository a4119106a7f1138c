"""Runs whose heads were trained together against the same runs, each trained alone."""

import json
import logging

import numpy as np
import pytest
from helpers import plan_of

from alljax import config as fields
from alljax.models.trees import flatten
from alljax.runs import experiment, heads_together
from alljax.storage import checkpoints, model_folder
from alljax.training import metrics_log
from configs import subtype

HEADS = (
    {'model.head': 6, 'data.task': 'subtype', 'split.fold': 0},
    {'model.head': 4, 'data.task': 'detection', 'split.fold': 1, 'optimizer.rate': 0.01, 'seed': 3},
)


def plan(root, **changed):
    small = {
        'data.root': str(root), 'data.size': 64, 'model.size': 64, 'model.width': 0.05, 'model.init': 'random',
        'model.freeze': '(?!head/).*', 'augment.copies': 'published', 'augment.rotate': 0.0, 'augment.mirror': False,
        'epochs': 3, 'split.folds': 2, 'report.heat_maps': False,
    }  # fmt: skip
    return plan_of(fields.with_fields(subtype.get_config(), {**small, **changed}))


@pytest.mark.parametrize(
    'changed', [{'model.freeze': ''}, {'optimizer.ema': 0.9}, {'augment.mixup': 0.2}, {'model.head': 0},
                {'gradients.every': 2}, {'precision': 'bf16'}, {'augment.copies': 'fresh', 'augment.mirror': True}]
)  # fmt: skip
def test_a_training_that_is_more_than_its_steps_on_features_is_left_alone(drawn, changed):
    assert heads_together.is_possible(plan(drawn))
    assert not heads_together.is_possible(plan(drawn, **changed))


def test_equal_rows_of_one_table_keep_their_own_places():
    tables = [np.array([[1.0], [2.0], [1.0]]), np.array([[2.0], [3.0]])]
    rows, places = heads_together._union(tables)
    assert rows.tolist() == [[1.0], [2.0], [1.0], [3.0]]
    assert [place.tolist() for place in places] == [[0, 1, 2], [1, 3]]


def test_a_run_that_cannot_be_begun_is_left_to_say_so_itself(drawn, tmp_path):
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'mine.txt').write_text('')
    assert heads_together.train([(plan(drawn), tmp_path / 'other')]) == 0
    assert [path.name for path in (tmp_path / 'other').iterdir() if path.name != '.lock'] == ['mine.txt']


@pytest.mark.slow
def test_runs_end_as_if_each_had_been_trained_alone(drawn, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    plans = [plan(drawn, **changed) for changed in HEADS]
    together, alone = ([tmp_path / name / str(number) for number in range(2)] for name in ('together', 'alone'))
    assert heads_together.train([*zip(plans, together, strict=True)]) == 2
    assert heads_together.train([*zip(plans, together, strict=True)]) == 0  # they have begun
    assert 'training the heads of 2 runs together' in caplog.text
    for one, here, there in zip(plans, together, alone, strict=True):
        experiment.run(one, here)
        experiment.run(one, there)
        found, expected = (json.loads((folder / 'results.json').read_text()) for folder in (here, there))
        assert found['test']['confusion'] == expected['test']['confusion']
        assert found['train']['heads_trained_together'] == 2
        assert found['train']['resumed_after_step'] is None
        assert found['train']['steps'] == expected['train']['steps']
        assert found['train']['accuracy'] == pytest.approx(expected['train']['accuracy'])
        ours, theirs = (flatten(model_folder.read_variables(folder / 'model')) for folder in (here, there))
        assert ours.keys() == theirs.keys()
        for name, leaf in ours.items():
            np.testing.assert_allclose(leaf, theirs[name], rtol=1e-5, atol=1e-5)
        rows, others = (metrics_log.read(folder / 'metrics.jsonl') for folder in (here, there))
        assert [row['step'] for row in rows] == [row['step'] for row in others]
        np.testing.assert_allclose([row['loss'] for row in rows], [row['loss'] for row in others], rtol=1e-4)
        ((step, tree),), ((last, other),) = (checkpoints.kept(folder / 'checkpoints')[-1:] for folder in (here, there))
        assert step == last
        assert flatten(tree).keys() == flatten(other).keys()
