"""What alljax 0.1.0 wrote before it was reorganized is read, gone on with and scored alike (tests/older_release)."""

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alljax import config, models, predict, sweep
from alljax.baselines import extraction
from alljax.baselines.systems import chatap2014
from alljax.config import resolve
from alljax.data import datasets, image
from alljax.models import Input, Network, NetworkSpec
from alljax.models.squeezenet import POOLS, MeanLogits, SqueezeNet
from alljax.models.trees import flatten
from alljax.runs import classical_system, experiment, network, results
from alljax.storage import feature_cache, model_folder, run_folder
from alljax.training import frozen_features, inference
from alljax.weights import published, weight_cache
from configs import subtype

OLD = Path(__file__).parents[1] / 'older_release'
IMAGES = [OLD / 'images' / name for name in ('Im031_1.png', 'Im070_0.png')]
FINGERPRINT = '369078074ea67ddb350d43a82d44fdb6ce39337a601397caf96e4061f1914c51'
SWEPT = '8fbc21114876f33611bb6f8597f5cd885ea29b423799b7692c211073ba4795cf'
DIGITS = 1e-4  # by which logits and probabilities may differ on another processor or with another release of JAX
TRAINED = 1e-3  # the same after training steps here

CELLS = {'data.cells': '80', 'data.size': '64'}
SMALL = {**CELLS, 'model.size': '64', 'model.width': '0.02', 'model.head': '8', 'model.init': 'random',
         'split.validation': '0.3', 'batch_size': '36', 'optimizer.rate': '0.01'}  # fmt: skip


def pixels():
    return np.stack([image.read(path).pixels for path in IMAGES])


def probabilities(run):
    return np.stack([row.probabilities for row in predict.predict(predict.load(run), IMAGES)])


def copy(old, folder, values, given):
    """Copies an old folder, with the fingerprint that its cells have here.

    They are drawn anew, and the last digit of NumPy's functions, so a pixel of some, depends on the processor.
    """
    shutil.copytree(OLD / old, folder)
    plan = resolve.resolve(values, given)
    here = datasets.load(plan.data, plan.seed).origin.fingerprint.encode()
    then = {'sweep': SWEPT}.get(old, FINGERPRINT).encode()
    holders = [path for path in folder.rglob('*') if path.is_file() and then in path.read_bytes()]
    assert holders
    for path in holders:
        path.write_bytes(path.read_bytes().replace(then, here))


def resume(run, folder, given):
    """Gives the command of an old run again, on a copy of its folder."""
    values = subtype.get_config()
    config.override(values, given)
    copy(run, folder, values, given)
    experiment.run(resolve.resolve(values, given, run_folder.earlier(folder)), folder)
    return results.read(folder)


def rows(folder):
    """Probabilities in predictions.csv, and everything else in it."""
    found = list(csv.reader((folder / 'predictions.csv').open(newline='')))
    return np.array([row[4:] for row in found[1:]], float), [row[:4] for row in found[1:]], found[0]


def check_same_predictions(folder, old, digits):
    for new, expected in zip(rows(folder), rows(old), strict=True):
        if isinstance(new, np.ndarray):
            np.testing.assert_allclose(new, expected, atol=digits)
        else:
            assert new == expected


def test_a_run_is_loaded_and_predicts_the_same():
    run = network.load(OLD / 'run')
    assert run.classes == ('L1', 'L2', 'L3', 'normal')
    assert run.model.input == Input(64, resize=72)
    card = run.card
    assert card.network == NetworkSpec(
        'alexnet', {'head': 8, 'size': 64, 'width': 0.02, 'dropout': 0.2, 'color': 'RGB'}
    )
    assert (card.fingerprint, card.seed, card.data_size, card.synthetic) == (FINGERPRINT, 0, 64, True)
    assert (card.train['best_epoch'], card.weights, card.scores) == (21, None, None)
    sums = {name: float(jnp.abs(leaf).sum()) for name, leaf in flatten(run.variables).items()}
    assert sums['params/fc6/kernel'] == pytest.approx(1022.7742, rel=1e-6)
    assert sums['params/head/logits/kernel'] == pytest.approx(8.8950787, rel=1e-6)
    logits = inference.run(inference.make_logits(run.model), run.variables, pixels(), np.arange(2), 2)
    expected = [[-0.16223274, 2.3225174, 4.300833, -4.9591727], [-0.04009806, -0.7640947, -2.9293363, 0.2973257]]
    np.testing.assert_allclose(logits, expected, atol=DIGITS)
    expected = [[0.010024, 0.120271, 0.869623, 0.000083], [0.339932, 0.164803, 0.018907, 0.476358]]
    np.testing.assert_allclose(probabilities(OLD / 'run'), expected, atol=DIGITS)


@pytest.mark.slow
def test_a_finished_run_is_evaluated_again_with_the_same_result(tmp_path):
    found = resume('run', tmp_path / 'run', {**SMALL, 'epochs': '24', 'gradients.every': '20'})
    assert found['test']['accuracy'] == 18 / 26
    check_same_predictions(tmp_path / 'run', OLD / 'run', DIGITS)
    scores = model_folder.read_card(tmp_path / 'run' / 'model').scores
    assert (scores.accuracy, scores.cells, scores.protocol, scores.leaky) == (18 / 26, 26, 'grouped', False)
    assert scores.low == pytest.approx(0.5001174167780164)


@pytest.mark.slow
def test_an_unfinished_run_goes_on_to_the_same_end(tmp_path):
    given = {**SMALL, 'model.freeze': 'fc6/.*', 'epochs': '10', 'checkpoint.seconds': '0'}
    found = resume('unfinished_run', tmp_path / 'run', given)
    assert (found['train']['resumed_after_step'], found['train']['steps'], found['train']['best_epoch']) == (9, 20, 8)
    assert found['test']['accuracy'] == 20 / 26
    told = {row['file']: row for row in results.predictions(tmp_path / 'run')}
    expected = {
        'img/Im031_1.tif': ('L3', [0.303560, 0.165791, 0.421913, 0.108736]),
        'img/Im070_0.tif': ('normal', [0.246435, 0.254892, 0.235967, 0.262706]),
    }
    for file, (said, numbers) in expected.items():
        assert told[file]['prediction'] == said
        np.testing.assert_allclose([float(told[file][f'probability_{name}']) for name in ('L1', 'L2', 'L3', 'normal')],
                                   numbers, atol=TRAINED)  # fmt: skip
    steps = [json.loads(line)['step'] for line in (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()]
    assert sorted(set(steps)) == list(range(1, 21))
    assert steps == sorted(steps)


@pytest.mark.parametrize(
    ('run', 'expected'),
    [
        ('system_run', [[0, 1 / 3, 2 / 3, 0], [0, 0, 0, 1]]),
        ('system_run_with_network', [[0, 0, 1, 0], [0, 0.2, 0.066667, 0.733333]]),
    ],
)
def test_a_run_of_a_classical_system_predicts_the_same(run, expected):
    np.testing.assert_allclose(probabilities(OLD / run), expected, atol=DIGITS)
    card = model_folder.read_card(OLD / run / 'model')
    assert (card.model['name'], card.fingerprint, card.batch_size) == ('chatap2014', FINGERPRINT, 28)
    assert classical_system.load(OLD / run).system.segmentation == 1  # the card knows of no versions


def test_cells_are_measured_as_then_by_version_1_and_otherwise_now():
    then = [[1, 1375, 225.86500705, 0.33869958], [1, 381, 70.76955262, 0.95596488]]  # features_cache/baselines
    rows = {one: extraction.rows(chatap2014()._replace(segmentation=one), pixels()).values[:, :4] for one in (1, 2)}
    np.testing.assert_allclose(rows[1], then)
    assert (rows[2][:, 1] != rows[1][:, 1]).any()


def test_a_run_goes_on_with_the_version_that_it_began_with():
    values = subtype.get_config()
    values.data.mask, values.baseline.system = 'rawat2017', 'chatap2014'
    for earlier, expected in (({}, 2), ({'seed': 0}, 1), ({'baseline.segmentation': None}, 2)):
        plan = resolve.resolve(values, {}, earlier)
        assert (plan.preparation.segmentation, plan.system.parts.segmentation) == (expected, expected)


@pytest.mark.slow
def test_a_finished_run_of_a_classical_system_is_evaluated_again_with_the_same_result(tmp_path):
    found = resume('system_run', tmp_path / 'run', {**CELLS, 'baseline.system': 'chatap2014'})
    assert found['test']['accuracy'] == 0.5
    check_same_predictions(tmp_path / 'run', OLD / 'system_run', DIGITS)


def test_an_entry_of_the_cache_of_weights_is_found(tmp_path, monkeypatch):
    small = Network(partial(SqueezeNet, stem=(64, 3), pools=POOLS['squeezenet1_1'], width=0.05), Input(224), MeanLogits)
    monkeypatch.setitem(models.MODELS, 'squeezenet1_1', small)
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    entry = 'squeezenet1_1-file-7f3c111d'
    shutil.copytree(OLD / 'weights' / entry, tmp_path / 'cache' / 'weights' / entry)
    row = published.find('squeezenet1_1')._replace(weights='file-7f3c111d')
    assert weight_cache.cached(row) == tmp_path / 'cache' / 'weights' / entry
    run = network.load(weight_cache.cached(row))
    assert run.classes == ('class 0', 'class 1', 'class 2')
    assert (run.card.photograph, run.card.weights.file, run.card.weights.sha256[:8]) == (
        True, 'tiny_squeezenet.safetensors', '7f3c111d'
    )  # fmt: skip
    logits = jax.jit(run.model.apply)(run.variables, jnp.zeros((1, 224, 224, 3)))
    np.testing.assert_allclose(logits, [[0, 5.880061, 5.907789]], atol=DIGITS)
    expected = [[0.001340, 0.512066, 0.486594], [0.001307, 0.530038, 0.468655]]
    np.testing.assert_allclose(probabilities(weight_cache.cached(row)), expected, atol=DIGITS)
    again = network.load(
        weight_cache.from_file('squeezenet1_1', OLD / 'weights' / 'tiny_squeezenet.safetensors', out=tmp_path / 'again')
    )
    assert again.card == run.card
    jax.tree.map(np.testing.assert_array_equal, again.variables, run.variables)


def test_a_finished_sweep_is_known_and_its_table_written_again(tmp_path):
    folder = tmp_path / 'sweep'
    given = {'epochs': '4', 'data.cells': '40', 'optimizer.rate': '0.01'}
    values = config.load(str(OLD / 'sweep' / 'two_variants.py'))
    config.override(values, given)
    copy('sweep', folder, values, given)
    (folder / 'table.csv').unlink()
    runs = [folder / run / 'results.json' for run in ('RGB/paper', 'RGB/grouped', 'HSV/paper', 'HSV/grouped')]
    before = [run.read_bytes() for run in runs]
    assert sweep.launch(values, str(folder / 'two_variants.py'), given, folder)
    assert (folder / 'table.csv').read_bytes() == (OLD / 'sweep' / 'table.csv').read_bytes()
    assert [run.read_bytes() for run in runs] == before  # none was done again


def none_missing(missing):
    raise AssertionError(f'{len(missing)} rows are computed again')


def test_the_cache_of_features_is_read(tmp_path, monkeypatch):
    shutil.copytree(OLD / 'features_cache', tmp_path, dirs_exist_ok=True)  # a lock is made in it
    found = feature_cache.by_picture(tmp_path / 'baselines' / '13f96835e22d3c31', pixels(), none_missing)
    np.testing.assert_allclose(found[:, 2:6], [[1, 1375, 225.86500705, 0.33869958], [1, 381, 70.76955262, 0.95596488]])
    monkeypatch.setattr(jax, '__version__', '0.10.2')  # the key holds that of the release that wrote it
    monkeypatch.setattr(inference, 'run', lambda *_: none_missing(IMAGES))
    run = network.load(OLD / 'run')
    body, _ = models.cut('alexnet', 4, head=8, size=64, width=0.02, color='RGB')
    about = {'size': 64, 'width': 0.02, 'color': 'RGB', 'averaged': True}
    found = frozen_features.features(body, run.variables, about, pixels(), 2, tmp_path / 'features')
    np.testing.assert_allclose(found.sum(1), [70.54285, 25.705671], rtol=1e-6)
    np.testing.assert_allclose(found[0, [3, 5]], [0.8342682, 5.9621415], rtol=1e-6)
