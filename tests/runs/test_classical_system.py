"""Runs of classical systems, from the config to the saved model that predicts."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alljax import config
from alljax.baselines import extraction
from alljax.baselines.segment import unet
from alljax.baselines.systems import SYSTEMS, System, assembled
from alljax.commands import predict
from alljax.config import resolve
from alljax.data import datasets
from alljax.data.datasets import DataOptions
from alljax.data.protocol import divide
from alljax.errors import UserError
from alljax.runs import classical_system, experiment, network, verdict_log
from alljax.storage import cache
from configs import common, detection, subtype


def values(root, system, task=subtype, **parts):
    made = task.get_config()
    made.data.root, made.data.size, made.data.equalize = str(root), 64, 'none'
    made.augment.copies, made.split.test = 'published', 0.5
    made.baseline.update({'system': system, **parts})
    return made


def divided(plan):
    return divide(datasets.load(plan.data, plan.seed), plan.split, plan.augmentation, plan.seed)


def plan_of_run(drawn):
    """That of `run`, without copies: each would be segmented and measured."""
    made = values(drawn, 'rawat2017')
    made.augment.copies = 'fresh'
    return resolve.resolve(made, {'data.equalize', 'augment'})


@pytest.fixture(scope='module')
def run(drawn, tmp_path_factory):
    return experiment.run(plan_of_run(drawn), tmp_path_factory.mktemp('classical') / 'run')


def test_a_run_has_the_results_and_files_of_any_run(run):
    found = json.loads((run / 'results.json').read_text())
    assert found['model']['name'] == 'rawat2017'
    assert found['model']['parts'].endswith('hierarchy of svm or knn or anfis or pnn')
    assert set(found['train']['chosen']) == {'normal or not', 'which of the others'}
    assert 0.9 < found['train']['accuracy'] <= 1
    assert found['train']['equalize'] == 'none'
    assert found['segmentation']['nucleus_dice'] > 0.8
    assert found['segmentation']['nothing_found_in_test'] < 0.2
    assert set(found['seconds_a_cell']) == {'segmentation', 'features', 'prediction'}
    assert min(found['seconds_a_cell'].values()) > 0
    assert found['test']['accuracy'] > 0.5
    for name in ('report.html', 'confusion.png', 'segmentation.png', 'predictions.csv', 'model/classifier.skops'):
        assert (run / name).is_file(), name
    assert not (run / 'curves.png').exists()
    assert 'Demo on synthetic cells' in (run / 'MODEL_CARD.md').read_text()
    page = (run / 'report.html').read_text()
    for words in (
        'test cells, the worst first',
        'Seconds a cell',
        'three levels',
        'inner balanced accuracy',
        'In words',
    ):
        assert words in page, words


def test_a_run_ends_with_its_verdict_in_words(run, caplog):
    with caplog.at_level('INFO'):
        verdict_log.write(run)
    first, *further = caplog.messages
    assert ' right' in first
    assert ' [synthetic cells, grouped (' in first
    assert 'next: Name your own cells: --config.data.root=DIR. These were drawn by a program.' in further


def test_the_card_tells_how_the_training_cells_look(run, drawn):
    _, parts = divided(plan_of_run(drawn))
    pictures = json.loads((run / 'model' / 'facts.json').read_text())['pictures']
    assert pictures['cells'] == len(parts.train) + len(parts.validation)
    assert pictures['width'][1:] == pictures['height'][1:] == [257, 257]
    assert 0 < pictures['detail'][0] < pictures['detail'][1] < 32
    assert pictures['contrast'][0] < pictures['contrast'][1]


def test_no_test_cell_is_dropped_and_the_split_is_the_networks(run, drawn):
    values_of_network = values(drawn, '')
    values_of_network.augment.copies = 'fresh'
    cells, parts = divided(resolve.resolve(values_of_network, {'data.equalize'}))
    with (run / 'predictions.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['file'] for row in rows] == [cells.names[place] for place in parts.test]


def test_a_finished_run_is_evaluated_again_with_the_same_result(run, drawn):
    before = json.loads((run / 'results.json').read_text())
    experiment.run(plan_of_run(drawn), run)
    after = json.loads((run / 'results.json').read_text())
    assert after['test'] == before['test']
    assert after['train'] == before['train']


def test_predict_reads_it_like_any_other_run(run, drawn, capsys, tmp_path):
    with (run / 'predictions.csv').open() as file:
        row = next(csv.DictReader(file))
    Image.fromarray(np.full((40, 50, 3), 255, np.uint8)).save(tmp_path / 'blank.png')
    (tmp_path / 'broken.png').write_bytes(b'no image')
    path = drawn / 'ALL_IDB2' / row['file']
    assert predict.main([str(run), str(path), str(tmp_path), '--csv', str(tmp_path / 'out.csv')]) == 1
    out = capsys.readouterr()
    assert 'broken.png: error: is no image' in out.out
    assert 'synthetic cells' in out.err
    with (tmp_path / 'out.csv').open() as file:
        first, blank, _ = csv.DictReader(file)
    assert first['prediction'] == row['prediction']
    assert float(first['probability_normal']) == pytest.approx(float(row['probability_normal']), abs=2e-6)
    assert blank['prediction'] in ('L1', 'L2', 'L3', 'normal')  # nothing is found in it, and that is classified


def test_gradients_of_a_classical_system_are_refused_in_words(run):
    with pytest.raises(UserError, match='holds rawat2017, a classical system; expected a network'):
        network.load(run)


@pytest.mark.slow
@pytest.mark.parametrize('task', [subtype, detection])
@pytest.mark.parametrize('system', SYSTEMS)
def test_both_tasks_of_every_system(system, task, drawn):
    made = values(drawn, system, task)
    made.model.update({'name': 'alexnet', 'init': 'random', 'width': 0.05, 'size': 64})
    made.augment.copies = 'fresh'  # none: each would be segmented and measured
    plan = resolve.resolve(made, {'data.equalize', 'augment'})
    some = datasets.load(plan.data, plan.seed).take(np.flatnonzero(np.arange(80) % 5 < 3))
    cells, parts = divide(some, plan.split, plan.augmentation, plan.seed)
    fitted = classical_system.fitted(plan, cells, parts)
    shares = classical_system.predictor(fitted)(cells.images[parts.test], 28)
    assert shares.shape == (len(parts.test), len(cells.classes))
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-9)
    right = (shares.argmax(1) == cells.labels[parts.test]).mean()
    chance = np.bincount(cells.labels[parts.test]).max() / len(parts.test)
    assert right > (0.25 if task is subtype else 0.5) or right >= chance - 0.1, (right, chance)


@pytest.mark.slow
def test_a_networks_features_are_saved_with_the_system(drawn, tmp_path):
    made = values(drawn, 'vogado2017', detection, classify=('knn',))
    made.model.update({'name': 'alexnet', 'init': 'random', 'width': 0.05, 'size': 64})
    made.augment.copies = 'fresh'
    plan = resolve.resolve(made, {'data.equalize', 'augment'})
    path = experiment.run(plan, tmp_path / 'run')
    loaded = classical_system.load(path)
    cells, parts = divided(plan)
    shares = classical_system.predictor(loaded)(cells.images[parts.test], 28)
    with (path / 'predictions.csv').open() as file:
        told = [float(row['probability_blast']) for row in csv.DictReader(file)]
    np.testing.assert_allclose(shares[:, 0], told, atol=2e-6)
    found = json.loads((path / 'results.json').read_text())
    assert found['model']['network'] == 'alexnet'
    assert 'segmentation.png' not in [file.name for file in path.iterdir()]  # the whole picture is taken


@pytest.mark.slow
def test_the_validation_fold_is_fitted_too_and_weights_are_repeats(drawn):
    made = values(drawn, 'chatap2014', detection)
    made.split.protocol, made.split.validation, made.data.equalize = 'random', 0.25, 'weights'
    plan = resolve.resolve(made, {'data.equalize'})
    cells, parts = divided(plan)
    side = np.concatenate([parts.train, parts.validation])
    fitted = classical_system.fitted(plan, cells, parts)
    counts = np.bincount(cells.labels[side])
    assert fitted.card.train['cells_an_epoch'] == 2 * counts.max()


def test_parts_are_recombined_by_config():
    made = common.get_config()
    made.baseline.system = 'putzu2014'
    with made.ignore_type():
        made.baseline.segment, made.baseline.features, made.baseline.classify = 'lab_fuzzy', ('glcm',), ('knn', 'pnn')
        made.baseline.preprocess, made.baseline.components, made.baseline.hierarchical = (), 3, True
    config.check(made)
    expected = System('lab_fuzzy', ('glcm',), ('knn', 'pnn'), (), 3, True)
    assert resolve.resolve(made, ()).system == ('putzu2014', expected)
    assert assembled('putzu2014', {'segment': None}) == SYSTEMS['putzu2014']()


def test_a_system_without_a_network_asks_for_no_weights():
    made = values('/nowhere', 'putzu2014')
    found = resolve.resolve(made, ())
    assert found.start.source is None
    assert found.fields['model.init'] == 'imagenet'  # left as it is: nothing was started at random
    assert not resolve.asks_network(made)
    with made.ignore_type():
        made.baseline.features = ('glcm', 'network')
    assert resolve.asks_network(made)
    with pytest.raises(UserError, match='random'):
        resolve.resolve(made, ())


def test_every_system_says_what_its_source_does_not():
    for name, make in SYSTEMS.items():
        text = make.__doc__
        if 'No system of Table 6' in text:
            assert name == 'unet'
            continue
        assert name[-4:].isdigit() or name[:-1].rstrip('_kmeansfc')[-4:].isdigit()
        assert 'Not stated in the source' in text or 'The same with k-means' in text, name


def key(system):
    return extraction.key(system, extraction.make_extractor(system))


def test_features_are_measured_once(monkeypatch, drawn, tmp_path):
    images = datasets.load(DataOptions('all_idb2', str(drawn), size=96), 0).images[:6]
    system = SYSTEMS['rawat2017']()
    first = extraction.rows(system, images[:4], tmp_path)
    measured = []
    monkeypatch.setattr(
        extraction, '_row', lambda image, system: measured.append(1) or np.zeros(first.values.shape[1] + 2)
    )
    again = extraction.rows(system, images, tmp_path)
    assert len(measured) == 2  # the two that are new
    np.testing.assert_array_equal(again.values[:4], first.values)
    assert not again.found[4:].any()
    assert again.found[:4].all()
    assert key(system._replace(preprocess=('median',))) != key(system) == key(system._replace(classify=('knn',)))
    assert len(extraction.feature_names(extraction.make_extractor(system))) == first.values.shape[1]
    assert cache.folder('baselines').is_dir()


def test_many_pictures_are_measured_on_all_cores_alike(drawn, monkeypatch):
    monkeypatch.setenv('LOKY_MAX_CPU_COUNT', '2')
    images = datasets.load(DataOptions('all_idb2', str(drawn), size=96), 0).images[: extraction.FEW + 2]
    system = SYSTEMS['chatap2014']()
    many = extraction.rows(system, images)
    few = extraction.rows(system, images[:3])
    np.testing.assert_array_equal(many.values[:3], few.values)


def test_a_model_keeps_its_own_copy_of_a_user_s_weights(run, tmp_path):
    mine = tmp_path / 'mine.safetensors'
    mine.write_bytes(unet.SHIPPED.read_bytes())
    loaded = classical_system.load(run)
    system = SYSTEMS['unet']()._replace(weights=str(mine))
    changed = loaded._replace(system=system, card=replace(loaded.card, system=system._asdict()))
    classical_system.save(changed, tmp_path / 'model')
    mine.unlink()
    kept = Path(classical_system.load(tmp_path / 'model').system.weights)
    assert kept.parent == tmp_path / 'model'
    assert kept.read_bytes() == unet.SHIPPED.read_bytes()
    kept.write_bytes(b'damaged')
    with pytest.raises(UserError, match=r'unet\.safetensors'):
        classical_system.load(tmp_path / 'model')


def test_weights_that_no_part_of_a_system_has_are_refused(drawn):
    for system, file, said in (
        ('rawat2017', str(unet.SHIPPED), 'three_levels has no weights'),
        ('unet', 'nowhere.safetensors', 'cannot be read as the weights'),
    ):
        config = values(drawn, system)
        config.baseline.weights = file
        with pytest.raises(UserError, match=said):
            resolve.resolve(config, {'data.equalize'})
