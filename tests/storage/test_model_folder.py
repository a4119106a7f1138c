"""A model folder and its card: what is written comes back, and what is damaged is named."""

import json

import numpy as np
import pytest

from alljax import models
from alljax.errors import UserError
from alljax.models import NetworkSpec
from alljax.storage import card as cards
from alljax.storage import format_version, model_folder
from alljax.storage.card import Card, Scores, WeightsOrigin
from alljax.storage.image_preparation import ImagePreparation, Photograph
from alljax.storage.training_pictures import TrainingPictures

TREE = {'params': {'kernel': np.arange(6, dtype=np.float32).reshape(2, 3), 'count': np.array(3, np.int32)}}
SPEC = NetworkSpec('alexnet', {'head': 8, 'size': 64, 'width': 0.02})
FORM = models.MODELS['alexnet'].input
NETWORK = Card(
    ('blast', 'normal'),
    SPEC,
    FORM,
    data_size=257,
    denoise='median',
    synthetic=True,
    fingerprint='f' * 64,
    seed=7,
    model={'name': 'alexnet', 'parameters': 9, 'input': [64, 64, 3]},
    train={'epochs': 2.5, 'best_epoch': None},
    scores=Scores(0.5, 0.25, 0.75, 8, 'random', True),
    pictures=TrainingPictures(
        *(8, (30.0, 32.0, 40.0), (30.0, 32.5, 40.0), (2.0, 5.5), (-0.5, 1.25)),
        *(('detail', 'dark_area'), (1.5, -2.25), (0.5, 0.125), ((1.25, 0.5), (0.5, 1.25)), 3.5),
    ),
)
WEIGHTS = Card(
    ('cat', 'dog'),
    SPEC,
    FORM,
    photograph=True,
    weights=WeightsOrigin('mine.pth', 'ab' * 32, 12, 'alljax 0.1.0', 'V1', 'https://example.org/mine.pth', 'MIT'),
)
SYSTEM = Card(
    ('blast', 'normal'),
    system={'segment': 'otsu', 'features': ['glcm'], 'components': None},
    batch_size=28,
    data_size=257,
    seed=0,
    model={'name': 'chatap2014'},
)


def written(folder, card):
    model_folder.write(folder, TREE, card)
    return json.loads((folder / 'facts.json').read_text())


@pytest.mark.parametrize('card', [NETWORK, WEIGHTS, SYSTEM])
def test_a_card_and_its_variables_come_back(tmp_path, card):
    written(tmp_path / 'model', card)
    assert model_folder.read_card(tmp_path / 'model') == card
    variables = model_folder.read_variables(tmp_path / 'model')
    np.testing.assert_array_equal(variables['params']['kernel'], TREE['params']['kernel'])
    assert variables['params']['count'] == 3
    assert [path.name for path in tmp_path.iterdir()] == ['model']


def test_a_model_is_replaced_by_a_whole_one_only(tmp_path):
    written(tmp_path / 'model', NETWORK)
    with pytest.raises(KeyboardInterrupt), model_folder.replaced(tmp_path / 'model', SYSTEM):
        raise KeyboardInterrupt
    assert model_folder.read_card(tmp_path / 'model') == NETWORK
    with model_folder.replaced(tmp_path / 'model', SYSTEM):
        pass
    assert model_folder.read_card(tmp_path / 'model') == SYSTEM
    assert not (tmp_path / 'model' / 'tree').exists()
    assert [path.name for path in tmp_path.iterdir()] == ['model']


def test_scores_are_added_to_what_the_card_says(tmp_path):
    written(tmp_path / 'model', SYSTEM)
    facts = tmp_path / 'model' / 'facts.json'
    facts.write_text(json.dumps({**json.loads(facts.read_text()), 'of_a_later_release': 3}))
    scores = Scores(1.0, 0.9, 1.0, 40, 'grouped', False)
    model_folder.add_scores(tmp_path / 'model', scores)
    assert json.loads(facts.read_text())['of_a_later_release'] == 3
    found = model_folder.read_card(tmp_path / 'model')
    assert found.scores == scores
    assert found.system == SYSTEM.system


def test_facts_json_keeps_its_keys(tmp_path):
    network, system, weights = (
        written(tmp_path / name, card)
        for name, card in (('network', NETWORK), ('system', SYSTEM), ('weights', WEIGHTS))
    )
    assert network['network'] == {'name': 'alexnet', 'options': {'head': 8, 'size': 64, 'width': 0.02}}
    assert network['input']['mean'] == [0.485, 0.456, 0.406]
    assert (network['fingerprint'], network['seed'], network['data_size']) == ('f' * 64, 7, 257)
    assert (network['denoise'], network['synthetic'], network['format']) == ('median', True, 1)
    assert network['train'] == {'epochs': 2.5, 'best_epoch': None}
    assert 'weights' not in network
    assert 'system' not in network
    assert system['system']['features'] == ['glcm']
    assert not {'network', 'input', 'scores', 'fingerprint'} & set(system)
    assert weights['photograph'] is True
    assert weights['weights']['license'] == 'MIT'
    plain = WEIGHTS.weights._replace(weights='', address='', license='')
    assert set(Card((), weights=plain).to_json()['weights']) == {'file', 'sha256', 'bytes', 'converted_by'}


def test_what_an_older_folder_lacks_takes_the_default_and_unknown_keys_are_passed_over(tmp_path):
    values = {'format': 1, 'classes': ['a'], 'network': {'name': 'alexnet', 'options': {}}, 'input': {'size': 64}}
    found = Card.from_json({**values, 'mood': 'good', 'seed': None}, tmp_path / 'facts.json')
    assert found == Card(('a',), NetworkSpec('alexnet', {}), models.Input(64))
    assert (found.denoise, found.photograph, found.synthetic, found.scores) == ('none', False, False, None)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'classes': 'abc'}, r"facts\.json: has 'abc' for classes, expected a list"),
        ({'classes': ['a', 3]}, r'has 3 for classes\[1\], expected text'),
        ({'synthetic': 'yes'}, "has 'yes' for synthetic, expected true or false"),
        ({'seed': True}, 'has True for seed, expected a whole number'),
        ({'network': ['alexnet']}, r"has \['alexnet'\] for network, expected an object"),
        ({'network': {}}, r'has no network\.name; the model is damaged, train or convert it again'),
        ({'network': None}, 'has no network; the model is damaged'),
        ({'input': None}, 'has no input; the model is damaged'),
        ({'input': {'size': 64, 'mean': [0.5, 0.5]}}, r'has 2 values for input\.mean, expected 3'),
        ({'weights': {'file': 'x'}}, r'has no weights\.sha256'),
        ({'pictures': {'cells': 3}}, r'has no pictures\.width'),
        ({'pictures': {'cells': 3, 'width': [1, 2]}}, r'has 2 values for pictures\.width, expected 3'),
    ],
)
def test_a_damaged_card_is_told_by_file_and_key(tmp_path, change, said):
    values = NETWORK.to_json() | change
    with pytest.raises(UserError, match=said):
        Card.from_json(json.loads(json.dumps(values)), tmp_path / 'facts.json')


def test_a_folder_that_is_no_model_is_told(tmp_path, monkeypatch):
    with pytest.raises(UserError, match='there is no such folder; expected a run folder'):
        model_folder.find(tmp_path / 'absent')
    with pytest.raises(UserError, match='holds no model; expected a run folder, with model/ in it'):
        model_folder.find(tmp_path)
    with pytest.raises(UserError, match=r'holds no facts\.json'):
        model_folder.read_card(tmp_path)
    (tmp_path / 'checkpoints').mkdir()
    with pytest.raises(UserError, match='holds no model yet; give the command of that run again'):
        model_folder.find(tmp_path)
    for text in ('{"format": 1', '[]'):
        (tmp_path / 'facts.json').write_text(text)
        with pytest.raises(UserError, match=r'facts\.json: .*the model is damaged'):
            model_folder.read_card(tmp_path)
    monkeypatch.setattr(cards, 'FORMAT', 99)
    written(tmp_path / 'run' / 'model', NETWORK)
    with pytest.raises(UserError, match='is of format 99, this release of alljax reads 1'):
        model_folder.read_card(tmp_path / 'run' / 'model')
    assert model_folder.find(tmp_path / 'run') == tmp_path / 'run' / 'model'
    assert format_version.FORMAT == 1


def test_the_card_says_how_images_are_prepared(tmp_path):
    assert NETWORK.preparation == ImagePreparation(257, 'median')
    assert WEIGHTS.preparation == ImagePreparation(FORM.size, 'none', Photograph(FORM.resize, FORM.interpolation))
    assert SYSTEM.preparation == ImagePreparation(257)
    with pytest.raises(UserError, match='has no data_size'):
        _ = Card((), SPEC, FORM).preparation
    assert NETWORK.expect_network(tmp_path) == (SPEC, FORM)
    with pytest.raises(UserError, match='holds chatap2014, a classical system; expected a network'):
        SYSTEM.expect_network(tmp_path)
