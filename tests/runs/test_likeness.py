"""A model's own features as a score of cells unlike those it was trained on: a network's, and what cannot have one."""

from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest
from helpers import make_cells, plan_of
from PIL import Image

from alljax import config as fields
from alljax import models, predict
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.evaluation import feature_likeness
from alljax.models import Input, Network, NetworkSpec
from alljax.runs import calibration, kinds, likeness, network_kind
from alljax.runs.network import TrainedNetwork
from alljax.runs.run_cells import RunCells
from alljax.storage import model_folder
from alljax.storage.calibration_record import FeatureLikeness
from alljax.storage.card import Card
from alljax.training import inference
from configs import common

CELLS = make_cells([0, 1] * 15, groups=[n // 5 for n in range(30)], size=32)


def found(validation):
    sides = np.arange(20), np.arange(20, 25)[: 5 * validation], np.arange(25, 30)
    return RunCells(CELLS, CELLS, Split(*sides, 'grouped'), None)


class Small(nn.Module):
    """A convolution, whose map of features the paper's head averages."""

    head: nn.Module

    @nn.compact
    def __call__(self, x, *, train=False):
        return self.head(nn.relu(nn.Conv(4, (5, 5), 4, name='conv')(x)))


@pytest.fixture(scope='module', autouse=True)
def small():
    models.MODELS['small'] = Network(Small, Input(32))
    yield
    del models.MODELS['small']


def plan(score):
    return plan_of(fields.with_fields(common.get_config(), {
        'calibration.unlike': score, 'model.name': 'small', 'model.head': 4, 'split.validation': 0.2, 'batch_size': 5,
    }))  # fmt: skip


@pytest.fixture(scope='module')
def trained(small, tmp_path_factory):
    """A network that was never trained, in a folder. Its card is to be replaced, not changed."""
    folder = tmp_path_factory.mktemp('likeness')
    spec = NetworkSpec('small', {'head': 4})
    model = spec.create(2)
    card = Card(CELLS.classes, spec, model.input, data_size=32, calibration=None)
    run = TrainedNetwork(model, model.init(jax.random.key(0)), card, folder=folder)
    model_folder.write(folder / 'model', run.variables, card)
    return run


def features(run):
    """The features of all cells before the head, by a network that never had one."""
    body = models.create('small', 0)
    return inference.run(
        inference.make_logits(body), run.variables, CELLS.images, np.arange(30), 5
    ).astype(float)  # fmt: skip


def test_a_network_s_features_are_kept_with_their_limit_and_predict_says_what_is_beyond(trained, tmp_path):
    asked = plan('mahalanobis')
    likeness.check(asked, found(True))
    run = calibration.kept(network_kind.NETWORK, trained, asked, found(True), trained.folder)
    rows = features(run)
    reference = feature_likeness.reference('mahalanobis', rows[:20], CELLS.labels[:20])
    expected = feature_likeness.scores('mahalanobis', reference, rows)
    limit = np.percentile(expected[20:25], 95)
    known = run.card.likeness
    assert (known.score, known.cells, known.groups, known.source) == ('mahalanobis', 5, 1, 'validation fold')
    assert known.limit == pytest.approx(limit, rel=1e-4)
    assert model_folder.read_card(trained.folder / 'model').likeness == known
    loaded = network_kind.NETWORK.load(trained.folder)
    scores = likeness.score_of(network_kind.NETWORK, loaded, trained.folder)(CELLS.images, 7)
    np.testing.assert_allclose(scores, expected, rtol=1e-3)
    tested = CELLS.take(np.arange(25, 30))
    share = likeness.of_test(network_kind.NETWORK, loaded, trained.folder, tested, 5)['unlike']
    assert share['share_of_test_cells'] == np.mean(expected[25:] > limit)
    assert (
        likeness.of_external_test(network_kind.NETWORK, loaded, trained.folder, CELLS.images[25:], 5)['unlike'] == share
    )
    for number, image in enumerate((*CELLS.images[:3], *CELLS.images[25:])):
        Image.fromarray(image).save(tmp_path / f'{number}.png')
    told = [row.unlike for row in predict.predict(predict.load(trained.folder), [tmp_path])]
    beyond = np.concatenate([expected[:3], expected[25:]]) > limit
    assert 0 < beyond.sum() < len(beyond)
    for words, value, is_beyond in zip(told, np.concatenate([expected[:3], expected[25:]]), beyond, strict=True):
        assert words == (f'its features are unlike theirs (mahalanobis {value:.2f}, 95% of 5 held-out cells up to '
                         f'{limit:.2f})' if is_beyond else 'unknown')  # fmt: skip


def test_damage_to_the_kept_features_is_told(trained):
    calibration.kept(network_kind.NETWORK, trained, plan('knn'), found(False), trained.folder)
    path = trained.folder / 'model' / 'likeness.npz'
    whole = path.read_bytes()
    for content in (whole[:-9], b'', whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r'likeness.npz is .* expected .*train'):
            predict.load(trained.folder)
    path.unlink()
    with pytest.raises(UserError, match=r'likeness.npz is missing'):
        predict.load(trained.folder)
    path.write_bytes(whole)
    assert predict.load(trained.folder).score


def test_without_a_validation_fold_groups_are_left_out_and_energy_takes_logits(trained):
    known = likeness.measured(network_kind.NETWORK, trained, plan('knn'), found(False)).known
    scores = feature_likeness.left_out_scores('knn', features(trained)[:20], CELLS.labels[:20], CELLS.groups[:20])
    assert known.limit == pytest.approx(np.percentile(scores, 95), rel=1e-3)
    assert (known.cells, known.groups, known.source) == (20, 4, 'training groups left out in turn')
    energy = likeness.measured(network_kind.NETWORK, trained, plan('energy'), found(True))
    logits = inference.run(inference.make_logits(trained.model), trained.variables, CELLS.images, np.arange(30), 5)
    expected = -np.log(np.exp(logits.astype(float)).sum(1))
    assert energy.reference is None
    assert energy.known.limit == pytest.approx(np.percentile(expected[20:25], 95), rel=1e-4)
    run = trained._replace(card=replace(trained.card, likeness=energy.known))
    scores = likeness.score_of(network_kind.NETWORK, run, trained.folder)(CELLS.images, 5)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_what_has_no_such_score_is_told(monkeypatch):
    alone = RunCells(CELLS, CELLS, Split(np.arange(5), np.arange(0), np.arange(5, 30), 'grouped'), None)
    with pytest.raises(UserError, match='unlike is knn, but all training cells are of one group'):
        likeness.check(plan('knn'), alone)
    monkeypatch.setattr(NetworkSpec, 'cut', lambda spec, classes: None)
    with pytest.raises(UserError, match=r'small is no linen module.* set it to energy or pictures'):
        likeness.check(plan('knn'), found(True))
    monkeypatch.setattr(kinds, 'of_plan', lambda plan: network_kind.NETWORK._replace(features=None))
    with pytest.raises(UserError, match='several members has no features of its own; set it to pictures'):
        likeness.check(plan('mahalanobis'), found(True))
    likeness.check(plan('pictures'), alone)


def test_a_card_that_makes_no_sense_is_told():
    known = FeatureLikeness('knn', 0.7, 9, 3, 'validation fold')
    assert not [*known.problems()]
    (said,) = known._replace(score='guess').problems()
    assert said == "has 'guess' for likeness.score, expected mahalanobis, knn or energy"
    (said,) = known._replace(limit=float('nan')).problems()
    assert said == 'has nan for likeness.limit, expected a finite number'
