"""Predictions averaged over turns and jittered copies of a picture, from a tiny function to finished runs."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers import make_cells
from PIL import Image

from alljax import config, explain, models, predict
from alljax.config import resolve
from alljax.config.classical_system_fields import without_levers
from alljax.data.augment import Augmentation
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.models import Input, Network
from alljax.runs import classical_system, experiment, external, network, prediction_views, results
from alljax.runs.classical_system_kind import SYSTEM
from alljax.runs.network_kind import NETWORK
from alljax.storage import model_folder
from alljax.storage.card import Card
from alljax.storage.prediction_views_record import PredictionViews
from configs import common, subtype

PLAIN = Card(('a', 'b'), system={}, seed=3)
JITTER = {'light': 0.1, 'stain': 0.2, 'blur': 1.0, 'noise': 8.0, 'jpeg': 40, 'gray': 0.5}


def card(turns=1, copies=0, **jitter):
    return Card(('a', 'b'), system=None, seed=3, views=PredictionViews(turns, copies, **jitter))


def corner(images, batch_size):
    """The red of the first pixel, as the probability of the first class."""
    share = images[:, 0, 0, 0] / 255
    return np.stack([share, 1 - share], 1)


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3), np.uint8)


def test_without_views_it_is_the_very_same_function():
    assert prediction_views.averaged(corner, PLAIN) is corner
    assert prediction_views.about(PLAIN) == {}


@pytest.mark.parametrize('turns', [2, 4, 8])
def test_each_turn_brings_its_pixel_to_the_corner(images, turns):
    found = prediction_views.averaged(corner, card(turns))(images, 4)
    red = images[..., 0] / 255.0
    corners = {2: [(0, 0), (0, -1)], 4: [(0, 0), (0, -1), (-1, 0), (-1, -1)]}
    expected = np.mean([red[:, row, column] for row, column in corners[min(turns, 4)]], axis=0)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-12)  # each corner twice of eight
    np.testing.assert_allclose(found.sum(1), 1)


def test_the_eight_turns_are_the_eight_symmetries_of_a_square():
    square = np.arange(27, dtype=np.uint8).reshape(1, 3, 3, 3)
    eight = [prediction_views.turned(square, place)[0] for place in range(8)]
    assert len({one.tobytes() for one in eight}) == 8
    expected = [np.rot90(base, k) for base in (square[0], np.fliplr(square[0])) for k in range(4)]
    np.testing.assert_array_equal(eight, expected)


def test_the_mean_is_that_of_all_known_answers(images):
    """Eight pictures for a copy and its cell in four turns: each answer is known by the order of the questions."""
    asked, answers = [], np.random.default_rng(1).dirichlet([1, 1], (8, 11))

    def told(pictures, batch_size):
        asked.append(pictures)
        return answers[len(asked) - 1]

    found = prediction_views.averaged(told, card(4, 1, **JITTER))(images, 4)
    np.testing.assert_allclose(found, answers.mean(0))
    np.testing.assert_array_equal(asked[0], images)
    np.testing.assert_array_equal(asked[5], np.rot90(asked[4], axes=(1, 2)))
    assert np.abs(asked[4].astype(int) - images).mean() > 1


def test_a_copy_depends_on_picture_seed_and_number_alone(images):
    views = PredictionViews(1, 2, **JITTER)
    together = prediction_views.jittered(images, views, 3, 1)
    for place in (0, 7, 10):
        np.testing.assert_array_equal(prediction_views.jittered(images[place : place + 1], views, 3, 1)[0],
                                      together[place])  # fmt: skip
    np.testing.assert_array_equal(prediction_views.jittered(images[::-1], views, 3, 1)[::-1], together)
    for seed, number in ((3, 2), (4, 1)):
        assert np.abs(prediction_views.jittered(images, views, seed, number).astype(int) - together).mean() > 1
    alone = prediction_views.averaged(corner, card(8, 2, **JITTER))
    np.testing.assert_array_equal(alone(images[4:5], 28)[0], alone(images, 4)[4])


def test_without_amounts_a_copy_is_its_cell(images):
    np.testing.assert_array_equal(prediction_views.jittered(images, PredictionViews(1, 1), 0, 1), images)


def test_what_was_cut_away_stays_so_for_a_classical_system():
    cut_out = np.full((2, 16, 16, 3), 255, np.uint8)
    cut_out[:, 4:12, 4:12] = (120, 80, 160)
    asked = []

    def remember(pictures, batch_size):
        asked.append(pictures)
        return np.ones((len(pictures), 1))

    views = PredictionViews(1, 1, **JITTER)
    prediction_views.averaged(remember, Card(('a',), system={}, views=views))(cut_out, 4)
    around = np.ones((16, 16), bool)
    around[4:12, 4:12] = False
    assert (asked[1][:, around] == 255).all()
    assert (asked[1][:, ~around] != asked[0][:, ~around]).any()
    prediction_views.averaged(remember, Card(('a',), views=views))(cut_out, 4)
    assert (asked[3][:, around] != 255).any()  # a network trained on pictures that were jittered as a whole


def test_logarithms_give_the_probabilities_back():
    shares = np.array([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
    logits = prediction_views.logarithms(shares)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(np.exp(logits), shares, atol=1e-300)


def test_the_jitter_lowers_for_cuda(images):
    changes = Augmentation(rotate=0.0, mirror=False, **JITTER)
    traced = prediction_views.jitter_alike.trace(images, jax.random.key(0), changes)
    assert traced.lower(lowering_platforms=('cuda',)).as_text()


def test_what_cannot_work_is_refused():
    for given, said in (
        ({'predict.copies': '4'}, 'config.predict.copies is 4, but nothing is set by which a copy would differ'),
        ({'predict.turns': '3'}, 'config.predict.turns is 3; set it to one of 1, 2, 4, 8'),
        ({'predict.turns': '16'}, 'config.predict.turns is 16; it has to lie between 1 and 8'),
    ):
        values = common.get_config()
        config.override(values, given)
        values.model.init = 'random' if 'turns' in said else '/a/run'
        with pytest.raises(UserError, match=said):
            resolve.resolve(values, {*given})


def test_the_amounts_are_those_of_training_and_a_system_may_have_them_for_its_copies():
    values = common.get_config()
    config.override(values, {'augment.stain': '0.2', 'augment.jpeg': '50', 'baseline.system': 'putzu2014'})
    with pytest.raises(UserError, match=r'config\.augment\.stain changes cells at each step'):
        resolve.resolve(values, ())
    config.override(values, {'predict.copies': '2'})
    assert resolve.resolve(values, ()).views == PredictionViews(1, 2, stain=0.2, jpeg=50)
    assert resolve.resolve(without_levers(values), ()).views == PredictionViews(1, 2, stain=0.2, jpeg=50)
    values.predict.copies, values.augment.copies, values.predict.turns = 0, 'published', 8
    assert resolve.resolve(values, ()).views == PredictionViews(8)
    values.predict.turns = 1
    assert resolve.resolve(values, ()).views is None


def test_the_card_keeps_the_views_and_tells_what_makes_no_sense(tmp_path):
    kept = card(8, 2, stain=0.2, jpeg=50)
    values = json.loads(json.dumps({**kept.to_json(), 'system': {}}))
    assert Card.from_json(values, tmp_path / 'facts.json').views == kept.views
    assert 'views' not in PLAIN.to_json()
    for wrong, said in (
        ({'turns': 3}, 'has 3 for views.turns, expected one of 1, 2, 4, 8'),
        ({'copies': -1}, 'has -1 for views.copies'),
        ({'blur': float('nan')}, 'has nan for views.blur'),
    ):
        with pytest.raises(UserError, match=said):
            Card.from_json({**values, 'views': {**values['views'], **wrong}}, tmp_path / 'facts.json')


def plan_of(root, **changes):
    values = config.with_fields(subtype.get_config(), {
        'data.root': str(root), 'data.size': 64, 'data.equalize': 'none', 'split.test': 0.5, **changes
    })  # fmt: skip
    return resolve.resolve(values, {*changes, 'data.equalize'})


def told(run, classes):
    rows = results.predictions(run)
    return [row['file'] for row in rows], [[float(row[f'probability_{name}']) for name in classes] for row in rows]


def predicted(run, files):
    return [row.probabilities for row in predict.predict(predict.load(run), files)]


@pytest.mark.parametrize('standardize', ['training', 'set'])
def test_a_system_is_scored_as_it_predicts(standardize, tmp_path):
    """Also one that is standardized by its test set, whose statistics are those of the pictures as they are."""
    plan = plan_of('/nowhere', **{
        'data.name': 'folder', 'data.task': 'classes', 'baseline.system': 'putzu2014', 'baseline.segment': 'whole',
        'baseline.features': ('statistics',), 'baseline.classify': ('pnn',), 'baseline.standardize': standardize,
        'predict.turns': 2, 'predict.copies': 1, **{f'augment.{name}': value for name, value in JITTER.items()},
    })  # fmt: skip
    cells = make_cells([0, 1, 2] * 8, size=16)
    parts = Split(np.arange(12), np.arange(0), np.arange(12, 24), 'random')
    classical_system.save(classical_system.fitted(plan, cells, parts, keep=False), tmp_path / 'model')
    run = classical_system.load(tmp_path)
    assert run.card.views == PredictionViews(2, 1, **JITTER)
    output = classical_system.score(run, plan, cells, parts, tmp_path)
    assert output.found['prediction'] == {'turns': 2, 'copies': 1}
    test = cells.take(parts.test)
    expected = external.probabilities_of(SYSTEM, run, test)
    np.testing.assert_allclose(np.exp(output.logits), np.maximum(expected, 1e-12))
    fitted = classical_system.adapted(run, test.images)
    plain = classical_system.predictor(fitted._replace(card=replace(run.card, views=None)))
    copies = prediction_views.jittered(test.images, run.card.views, 0, 1)
    views = [plain(one[:, :, ::step], 28) for one in (test.images, copies) for step in (1, -1)]
    np.testing.assert_allclose(np.mean(views, 0), expected)
    assert np.abs(views[0] - expected).max() > 1e-3


@pytest.mark.slow
def test_predict_averages_as_the_run_did_and_a_finished_run_does_so_again(drawn, tmp_path):
    plan = plan_of(drawn, **{
        'baseline.system': 'putzu2014', 'baseline.segment': 'whole', 'baseline.features': ('statistics',),
        'baseline.classify': ('pnn',), 'predict.turns': 2, 'predict.copies': 1, 'augment.stain': 0.1,
        'augment.noise': 5.0,
    })  # fmt: skip
    run = experiment.run(plan, tmp_path / 'run')
    found = results.read(run)
    assert found['prediction'] == {'turns': 2, 'copies': 1}
    assert 'Views of each cell whose probabilities are averaged' in (run / 'report.html').read_text()
    names, expected = told(run, model_folder.read_card(run / 'model').classes)
    files = [drawn / 'ALL_IDB2' / name for name in names[:3]]
    np.testing.assert_allclose(predicted(run, files), expected[:3], atol=2e-6)
    np.testing.assert_allclose(predicted(run, files[2:]), expected[2:3], atol=2e-6)  # alone
    experiment.run(plan, run)
    assert results.read(run)['test'] == found['test']


@pytest.fixture(scope='module')
def network_run(drawn, tmp_path_factory):
    """A network of which the head alone is trained, on features in the cache."""
    from test_transduction import Small

    models.MODELS['small_views'] = Network(Small, Input(32))
    plan = plan_of(drawn, **{
        'model.name': 'small_views', 'model.init': 'random', 'model.head': 4, 'model.freeze': '(?!head/).*',
        'batch_size': 20, 'epochs': 1, 'augment.copies': 'published', 'predict.turns': 8, 'predict.copies': 1,
        'augment.stain': 0.2,
    })  # fmt: skip
    yield experiment.run(plan, tmp_path_factory.mktemp('views') / 'run')
    del models.MODELS['small_views']


@pytest.mark.slow
def test_a_network_s_run_and_predict_agree(network_run, drawn):
    run = NETWORK.load(network_run)
    names, expected = told(network_run, run.classes)
    files = [drawn / 'ALL_IDB2' / name for name in names[:3]]
    np.testing.assert_allclose(predicted(network_run, files), expected[:3], atol=2e-6)
    pictures = np.stack([np.asarray(file.pixels) for file in explain.preparation.read(files, run.card)])
    plain = network.predictor(run._replace(card=Card(run.classes)))
    eight = [plain(prediction_views.turned(pictures, place), 28) for place in range(8)]
    copies = prediction_views.jittered(pictures, run.card.views, 0, 1)
    eight += [plain(prediction_views.turned(copies, place), 28) for place in range(8)]
    np.testing.assert_allclose(np.mean(eight, 0), expected[:3], atol=2e-6)
    assert np.abs(eight[0] - expected[:3]).max() > 1e-5


@pytest.mark.slow
def test_a_transductive_network_takes_the_statistics_of_the_pictures_as_they_are(network_run, drawn, tmp_path):
    plan = plan_of(drawn, **{
        'model.name': 'small_views', 'model.init': 'random', 'model.head': 4, 'batch_size': 20, 'epochs': 1,
        'model.statistics': 'test_set', 'predict.turns': 4, 'predict.copies': 1, 'augment.stain': 0.2,
    })  # fmt: skip
    run = experiment.run(plan, tmp_path / 'run')
    loaded = NETWORK.load(run)
    names, expected = told(run, loaded.classes)
    files = [drawn / 'ALL_IDB2' / name for name in names]
    found = predicted(run, files)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    pictures = np.stack([file.pixels for file in explain.preparation.read(files, loaded.card)])
    plain = network.predictor(network.adapted(loaded, pictures)._replace(card=Card(loaded.classes)))
    copies = prediction_views.jittered(pictures, loaded.card.views, 0, 1)
    views = [plain(prediction_views.turned(one, place), 28) for one in (pictures, copies) for place in range(4)]
    np.testing.assert_allclose(np.mean(views, 0), found, atol=2e-6)
    assert results.read(run).keys() >= {'transductive', 'prediction'}


@pytest.mark.slow
def test_explain_says_that_it_explains_the_picture_as_it_is(network_run, tmp_path):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / 'a.png')
    request = explain.check(explain.Request(network_run, [tmp_path / 'a.png'], ('saliency',), 4, folder=tmp_path / 'o'))
    assert 'the heat maps are of the image as it is' in request.notes[-1]
