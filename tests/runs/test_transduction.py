"""Runs whose prediction uses the statistics of the unlabelled test cells, from the config to `predict`."""

from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest
from helpers import make_cells, plan_of

from alljax import config as fields
from alljax import explain, models, predict
from alljax.config import resolve
from alljax.data import image_files
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.models import Input, Network
from alljax.models.layers import batch_norm
from alljax.runs import classical_system, experiment, initial_variables, network, network_options, results
from alljax.storage import model_folder
from alljax.training import new_statistics
from configs import common, subtype


class Small(nn.Module):
    """A convolution with a batch normalization."""

    head: nn.Module

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(4, (5, 5), 4, name='conv')(x)
        return self.head(nn.relu(batch_norm(train)('norm')(x)).mean((1, 2)))


@pytest.fixture(scope='module')
def small():
    models.MODELS['small'] = Network(Small, Input(32))
    yield 'small'
    del models.MODELS['small']


def values(root, **more):
    made = subtype.get_config()
    changes = {
        'data.root': str(root), 'data.size': 64, 'data.equalize': 'none', 'model.name': 'small', 'model.init': 'random',
        'model.head': 4, 'batch_size': 20, 'epochs': 1, 'split.test': 0.5, 'augment.rotate': 0.0,
        'augment.mirror': False, 'augment.light': 0.0, **more,
    }  # fmt: skip
    made = fields.with_fields(made, changes)
    return resolve.resolve(made, fields.flat(made))


@pytest.fixture(scope='module')
def run(drawn, small, tmp_path_factory):
    """A network with every lever of training on."""
    plan = values(drawn, **{
        'model.statistics': 'test_slide', 'optimizer.ema': 0.9, 'optimizer.layer_decay': 0.5, 'augment.mixup': 0.2,
        'loss.smoothing': 0.1, 'loss.robust': 'group_dro', 'data.equalize': 'batches',
        'split.protocol': 'leave_one_group_out', 'split.fold': 2,
    })  # fmt: skip
    return experiment.run(plan, tmp_path_factory.mktemp('network') / 'run')


@pytest.mark.slow
def test_results_report_and_card_say_that_a_run_is_transductive(run):
    found = results.read(run)
    assert found['transductive']['uses'] == 'batch normalization: the statistics of each unlabelled test slide'
    assert found['transductive']['sets'] == found['split']['groups']['test'] == 1
    assert results.marks(found)[-1] == 'transductive'
    assert 'Transductive: batch normalization' in (run / 'report.html').read_text()
    assert model_folder.read_card(run / 'model').transductive == 'slide'
    assert found['train'].items() >= {
        'layer_decay': 0.5, 'label_smoothing': 0.1, 'mixup': 0.2, 'average_of_parameters': 0.9, 'group_dro': 0.01,
        'batch_statistics': 'test_slide', 'batches': 'balanced: classes, and groups within a class',
    }.items()  # fmt: skip


@pytest.mark.slow
def test_predict_takes_the_statistics_of_the_files_and_training_s_for_one(run, drawn, caplog):
    names = [row['file'] for row in results.predictions(run)]
    files = [drawn / 'ALL_IDB2' / name for name in names]
    loaded = network.load(run)
    images = np.stack([image_files.read(file, loaded.card.preparation).pixels for file in files])
    with caplog.at_level('INFO', 'alljax'):
        rows = list(predict.predict(predict.load(run), files))
    assert f'transductive: the statistics of these {len(files)} images' in caplog.text
    told = [[float(row[f'probability_{name}']) for name in loaded.classes] for row in results.predictions(run)]
    np.testing.assert_allclose([row.probabilities for row in rows], told, atol=2e-6)  # the slide is the set here
    caplog.clear()
    (alone,) = predict.predict(predict.load(run), files[:1])
    assert 'one image has none: those of training stand for it' in caplog.text
    plain = network.predictor(loaded)(images[:1], 28)[0]
    np.testing.assert_allclose(alone.probabilities, plain, atol=1e-6)
    assert not np.allclose(plain, told[0], atol=1e-4)


@pytest.mark.slow
def test_group_normalization_takes_scale_and_bias_of_the_run_that_it_starts_from(run):
    old = network.load(run).variables
    options = {'head': 4, 'size': 32}
    for norm in ('batch', 'group'):
        model = models.create('small', 4, norm=norm, **options)
        found, _ = initial_variables.start_from(run, model, ('a', 'b', 'c', 'd'), jax.random.key(0))
        np.testing.assert_array_equal(found['params']['norm']['scale'], old['params']['norm']['scale'])
        np.testing.assert_array_equal(found['params']['norm']['bias'], old['params']['norm']['bias'])
        assert ('batch_stats' in found) == (norm == 'batch')


@pytest.mark.slow
def test_explain_takes_the_statistics_of_its_images(run, drawn, tmp_path):
    files = [drawn / 'ALL_IDB2' / row['file'] for row in results.predictions(run)[:3]]
    request = explain.check(explain.Request(run, files, ('saliency',), 4, folder=tmp_path / 'out'))
    assert 'statistics of these images together' in request.notes[-1]
    old, new = network.load(run).variables['batch_stats']['norm'], request.run.variables['batch_stats']['norm']
    assert not np.allclose(old['mean'], new['mean'])
    request = explain.check(explain.Request(run, files[:1], ('saliency',), 4, folder=tmp_path / 'out'))
    assert 'One image has no statistics of its own' in request.notes[-1]


@pytest.mark.slow
def test_features_are_standardized_by_slide_and_networks_stand_side_by_side(small, tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS, 'smaller', Network(Small, Input(16)))
    made = make_cells([0, 1, 2] * 10, groups=[n // 6 for n in range(30)], size=32)
    cells = replace(made, origin=replace(made.origin, grouping='patient or slide'))
    parts = Split(np.arange(12), np.arange(0), np.arange(12, 30), 'grouped')
    plan = values('/nowhere', **{
        'baseline.system': 'putzu2014', 'baseline.segment': 'whole', 'baseline.features': ('statistics', 'network'),
        'baseline.networks': ('small', 'smaller'), 'baseline.standardize': 'slide', 'baseline.classify': ('svm',),
        'data.name': 'folder', 'data.task': 'classes',
    })  # fmt: skip
    run = classical_system.fitted(plan, cells, parts, keep=False)
    assert run.card.model['network'] == 'small, smaller'
    assert 'networks small and smaller → standardized by slide' in run.card.model['parts']
    hand_made, factor = len(run.standard.factor) - 8, run.standard.factor
    np.testing.assert_allclose(factor[-8:] ** 2 * 4, factor[0] ** 2 * hand_made)
    classical_system.save(run, tmp_path / 'model')
    names = {path.name for path in (tmp_path / 'model').iterdir()}
    assert {'network_1_small', 'network_2_smaller', 'standardization.npz'} <= names
    loaded = classical_system.load(tmp_path)
    output = classical_system.score(loaded, plan, cells, parts, tmp_path)
    assert output.found['transductive'] == {
        'uses': 'features: the mean and deviation of each unlabelled test slide', 'sets': 3, 'sets of one cell': 0,
    }  # fmt: skip
    for slide in (2, 3, 4):  # each slide as `predict` would have it
        images, places = cells.images[cells.groups == slide], np.flatnonzero(cells.groups[parts.test] == slide)
        shares = classical_system.predictor(classical_system.adapted(loaded, images))(images, 20)
        np.testing.assert_allclose(np.log(np.maximum(shares, 1e-12)), output.logits[places], atol=1e-5)
    (tmp_path / 'model' / 'checksums.json').unlink()
    (tmp_path / 'model' / 'standardization.npz').write_bytes(b'')
    with pytest.raises(UserError, match=r'standardization.npz|checksums'):
        classical_system.load(tmp_path)


def test_what_cannot_work_is_told(small):
    cells = make_cells([0, 1, 2] * 4, size=8)
    changes = {'model.statistics': 'test_set', 'model.norm': 'group', 'loss.robust': 'group_dro', 'model.width': 0.05}
    plan = plan_of(fields.with_fields(common.get_config(), changes))
    model = plan.network.create(3)
    with pytest.raises(UserError) as caught:
        network_options.check(plan, cells, model, {'params': {}})
    said = str(caught.value)
    assert 'config.model.statistics is test_set, but alexnet has no batch normalization' in said
    assert 'config.model.norm is group, but alexnet has no batch normalization to replace' in said
    assert 'config.loss.robust is group_dro, but nothing is known of patients, slides or repeats' in said
    plan = plan_of(fields.with_fields(common.get_config(), {'model.statistics': 'test_slide', 'model.name': 'small'}))
    model = plan.network.create(3)
    with pytest.raises(UserError, match='statistics is test_slide, but the slides of these cells are not known'):
        network_options.check(plan, cells, model, {'params': {}, 'batch_stats': {}})
    slides = replace(cells, origin=replace(cells.origin, grouping='patient or slide'))
    network_options.check(plan, slides, model, {'params': {}, 'batch_stats': {}})


@pytest.mark.slow
def test_a_head_learns_from_frozen_layers_under_the_statistics_of_the_training_cells(small, tmp_path):
    cells = make_cells([0, 1, 2, 3] * 10, size=64)
    parts = Split(np.arange(24), np.arange(0), np.arange(24, 40), 'grouped')
    plan = values('/nowhere', **{'model.statistics': 'test_set', 'model.freeze': '(?!head/).*'})
    run = network.fit(plan, cells, parts, tmp_path)
    start, _ = initial_variables.first_variables(plan, run.model, cells.classes)
    expected = new_statistics.adapted(run.model, start, cells.images[parts.train])
    assert not np.allclose(expected['batch_stats']['norm']['mean'], start['batch_stats']['norm']['mean'], atol=0.01)
    for name, found in run.variables['batch_stats']['norm'].items():
        np.testing.assert_allclose(found, expected['batch_stats']['norm'][name], rtol=1e-5)
    output = network.score(run, plan, cells, parts, tmp_path)  # whose own statistics are not those of training
    plain = network.predictor(run)(cells.images[parts.test], 20)
    assert not np.allclose(np.exp(output.logits) / np.exp(output.logits).sum(-1, keepdims=True), plain, atol=1e-5)
