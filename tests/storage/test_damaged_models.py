"""Damage to any file of a model ends in the same numbers or in a sentence, never in others."""

import json
import shutil
import time
from pathlib import Path
from random import Random

import jax
import numpy as np
import pytest
from damage import KINDS, damage, damaged, files
from forked import Started
from helpers import save_untrained_run

from alljax import explain, predict
from alljax.data import image_files
from alljax.errors import UserError
from alljax.explain import methods
from alljax.models.trees import flatten
from alljax.runs import classical_system, network
from alljax.storage import checksums, model_folder, tree_folder
from alljax.storage.card import Scores
from alljax.storage.checksums import Damaged
from alljax.training import inference

OLD = Path(__file__).parents[1] / 'older_release'
IMAGE = OLD / 'images' / 'Im031_1.png'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    return save_untrained_run(tmp_path_factory.mktemp('network'), 64)


@pytest.fixture(scope='module')
def fitted(tmp_path_factory):
    """A classical system with a network's features, as this release saves it."""
    folder = tmp_path_factory.mktemp('system')
    classical_system.save(classical_system.load(OLD / 'system_run_with_network'), folder / 'model')
    return folder


def numbers(folder):
    """All that predictions depend on."""
    run = network.load(folder)
    return {'card': run.card, 'input': run.model.input, **{k: np.asarray(v) for k, v in flatten(run.variables).items()}}


def system_numbers(folder):
    run = classical_system.load(folder)
    values = np.random.default_rng(0).normal(size=(20, run.estimator.n_features_in_))
    leaves = {name: np.asarray(leaf) for name, leaf in flatten(run.bodies[0].variables).items()}
    return {'card': run.card, 'system': run.system, 'said': run.estimator.predict_proba(values), **leaves}


def same(first, second):
    return first.keys() == second.keys() and all(np.all(first[name] == second[name]) for name in first)


def sentence(read, folder, whole):
    """The error of reading a model; '' if all in it is as it was."""
    try:
        assert same(read(folder), whole)
    except UserError as error:
        return str(error)
    return ''


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(('run', 'read'), [('trained', numbers), ('fitted', system_numbers)])
def test_a_damaged_model_gives_the_same_numbers_or_a_sentence(request, run, read, kind):
    folder, rng = request.getfixturevalue(run), Random(kind)
    whole, told = read(folder), 0
    for file in files(folder):
        for _ in range(3 if kind in ('bit', 'cut') else 1):
            with damaged(file, kind, rng):
                said = sentence(read, folder, whole)
                told += bool(said)
                assert not said or (str(folder) in said and ('again' in said or 'holds no' in said)), said
    assert told >= 5


def test_a_flip_in_the_large_file_is_told_by_the_name_of_the_array(trained):
    large = max(files(trained / 'model' / 'tree'), key=lambda path: path.stat().st_size)
    for seed in range(8):
        with (
            damaged(large, 'bit', Random(seed)),
            pytest.raises(
                UserError, match=r'tree: 1 of 18 arrays are damaged: params/\S+ \(.*train or convert it again'
            ),
        ):
            network.load(trained)


def test_each_leaf_has_a_checksum_of_its_type_shape_and_values():
    zero = np.zeros((2, 3), np.float32)
    told = checksums.of_array(zero)
    assert told.startswith('float32 2x3 crc32 ')
    assert checksums.of_array(np.zeros((3, 2), np.float32)) != told != checksums.of_array(np.zeros((2, 3), np.int32))
    assert checksums.of_array(-zero) != told  # -0.0 is not the same bits
    assert checksums.of_array(np.array(1.5, np.float64)).startswith('float64 scalar')
    assert checksums.of_array(jax.numpy.ones(3, 'bfloat16').__array__()).startswith('bfloat16 3 ')
    assert checksums.of_array(np.asfortranarray([[1, 2], [3, 4]])) == checksums.of_array(np.array([[1, 2], [3, 4]]))


def test_checksums_cost_little():
    large = np.zeros(16_000_000, np.float32)  # 64 MB
    start = time.perf_counter()
    checksums.of_array(large)
    assert time.perf_counter() - start < 1


def test_a_tree_keeps_odd_leaves_and_empty_branches(tmp_path):
    tree = {'a': {'half': jax.numpy.ones((2, 2), 'bfloat16').__array__(), 'none': {}}, 'n': np.array(3, np.int32)}
    expected = tree_folder.write_tree(tmp_path / 'tree', tree)
    assert set(expected) == {'a/half', 'n'}
    found = tree_folder.read_tree(tmp_path / 'tree', expected)
    assert found['a']['none'] == {}
    assert found['a']['half'].dtype == tree['a']['half'].dtype
    np.testing.assert_array_equal(found['a']['half'], tree['a']['half'])
    with pytest.raises(Damaged, match='_METADATA differs from what was written in n'):
        tree_folder.read_tree(tmp_path / 'tree', {'a/half': expected['a/half']})


def test_a_card_may_be_spaced_otherwise_but_not_changed(trained, tmp_path):
    folder = tmp_path / 'model'
    shutil.copytree(trained / 'model', folder)
    facts = folder / 'facts.json'
    values = json.loads(facts.read_text())
    facts.write_text(json.dumps(dict(reversed(values.items()))))
    assert model_folder.read_card(folder) == model_folder.read_card(trained / 'model')
    model_folder.add_scores(folder, Scores(0.5, 0.4, 0.6, 10, 'grouped', False))
    noted = json.loads(facts.read_text())
    assert model_folder.read_card(folder).scores.accuracy == 0.5
    for change in ({'denoise': 'median'}, {'classes': ['L2', 'L1', 'L3', 'normal']}, {'data_size': 129},
                   {'scores': {**noted['scores'], 'accuracy': 0.6}}, {'synthetic': False}):  # fmt: skip
        facts.write_text(json.dumps(noted | change))
        with pytest.raises(UserError, match=r'facts.json: is not as it was written.*delete its "checksum"'):
            network.load(folder)
    noted.pop('checksum')
    facts.write_text(json.dumps(noted | {'denoise': 'median'}))
    assert network.load(folder).card.denoise == 'median'  # changed by hand, as the message says


def test_a_folder_of_an_earlier_release_has_no_checksums_and_is_read():
    assert not model_folder.has_checksums(OLD / 'run' / 'model')
    network.load(OLD / 'run')


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'data_size': 0}, 'has 0 for data_size, expected 1 to'),
        ({'data_size': 10**9}, 'has 1000000000 for data_size'),
        ({'denoise': 'mediam'}, "has 'mediam' for denoise, expected none or"),
        ({'classes': ['L1', 'L1', 'L3', 'normal']}, 'for classes, expected names that differ'),
        ({'input': {'size': -64}}, 'has -64 for input.size'),
        ({'input': {'size': 64, 'color': 'RGX'}}, "has 'RGX' for input.color, expected RGB or"),
        ({'input': {'size': 64, 'interpolation': 'cubic'}}, "has 'cubic' for input.interpolation"),
        ({'input': {'size': 64, 'deviation': [0.2, 0, 0.2]}}, 'input.deviation, expected finite numbers, above 0'),
        ({'input': {'size': 64, 'mean': [0.2, float('nan'), 0.2]}}, 'input.mean, expected finite numbers'),
        ({'network': {'name': 'alexnet', 'options': {'widht': 0.1}}}, 'alexnet has no widht'),
        ({'network': {'name': 'alexnot', 'options': {}}}, "no network 'alexnot'"),
        ({'network': {'name': 'alexnet', 'options': {'width': 'wide'}}}, 'alexnet cannot be made with'),
        ({'network': {'name': 'alexnet', 'options': {'width': -1}}}, 'alexnet cannot be made with'),
        ({'network': {'name': 'alexnet', 'options': {'head': 9, 'width': 0.1}}}, 'are not those of alexnet with'),
        ({'scores': Scores(7.0, 0.0, 1.0, 1, '', True)._asdict()}, 'has 7.0 for scores.accuracy'),
    ],
)  # fmt: skip
def test_facts_json_is_checked_like_a_config(trained, tmp_path, change, said):
    shutil.copytree(trained / 'model', tmp_path / 'model')
    facts = tmp_path / 'model' / 'facts.json'
    values = json.loads(facts.read_text()) | change
    values.pop('checksum')
    facts.write_text(json.dumps(values))
    with pytest.raises(UserError, match=said) as error:
        network.load(tmp_path)
    assert 'facts.json' in str(error.value) or str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'segment': 3}, r'has 3 for system\.segment, expected text'),
        ({'features': 'glcm'}, r"has 'glcm' for system\.features, expected a list"),
        ({'segment': 'otsoo'}, "no segmentation 'otsoo'"),
    ],
)
def test_the_parts_of_a_system_are_checked_too(tmp_path, change, said):
    shutil.copytree(OLD / 'system_run' / 'model', tmp_path / 'model')
    facts = tmp_path / 'model' / 'facts.json'
    values = json.loads(facts.read_text())
    values['system'] |= change
    facts.write_text(json.dumps(values))
    with pytest.raises(UserError, match=said):
        [*predict.predict(predict.load(tmp_path), [IMAGE])]


def spoilt(trained, folder, value):
    """A model with one number that is none, as training that diverged or an old damaged folder has it."""
    run = network.load(trained)
    leaf = run.variables['params']['conv1']['kernel']
    run.variables['params']['conv1']['kernel'] = leaf.at[0, 0, 0, 0].set(value)
    model_folder.write(folder / 'model', run.variables, run.card)
    return folder


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_logits_that_are_not_finite_are_an_error_and_never_a_class(trained, tmp_path, value):
    folder = spoilt(trained, tmp_path, value)
    with pytest.raises(UserError, match=rf'{folder}/model: gives NaN or infinity for 1 of 1 images, and so no class'):
        [*predict.predict(predict.load(folder), [IMAGE])]
    run = network.load(folder)
    cell = image_files.read(IMAGE, run.card.preparation)
    with pytest.raises(UserError, match=f'{IMAGE.name}.*hold NaN or infinity, so there is no class'):
        [*explain.explain(run, [cell], ['grad_cam'], methods.Options('conv5', 1))]
    with pytest.raises(UserError, match='gives NaN or infinity for 1 of 2 images'):
        inference.probabilities(np.array([[0.0, 1.0], [0.0, value]]), 'the model')


@pytest.mark.slow
def test_the_sentence_is_all_that_a_user_sees(trained, tmp_path):
    shutil.copytree(trained, tmp_path / 'run')
    for file in files(tmp_path / 'run' / 'model' / 'tree'):
        if file.name == 'manifest.ocdbt':
            damage(file, 'junk', Random(0))
    code, said = Started('predict', tmp_path / 'run', IMAGE).outcome()
    assert code == 2
    assert len(said.splitlines()) == 1, said
    assert said.startswith('alljax: ')
    assert 'arrays are damaged' in said
