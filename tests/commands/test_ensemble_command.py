"""`alljax ensemble`: finished runs as one model, and what is refused."""

import json
from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest
from PIL import Image

from alljax import models, predict
from alljax.commands import ensemble as command
from alljax.errors import UserError
from alljax.models import Input, Network, NetworkSpec
from alljax.runs import ensemble_of_runs
from alljax.storage import model_folder
from alljax.storage.card import Card
from alljax.storage.image_preparation import CellPreparation

CLASSES = ('a', 'b', 'c')


class Two(nn.Module):
    """The last layers alone."""

    head: nn.Module

    @nn.compact
    def __call__(self, x, *, train=False):
        return self.head(x.mean((1, 2)))


@pytest.fixture(scope='module', autouse=True)
def _two():
    models.MODELS['two'] = Network(Two, Input(32))
    yield
    del models.MODELS['two']


def finished(folder, seed=0, classes=CLASSES, **facts):
    """A run folder with a network that was never trained."""
    options = {'head': 4, 'color': 'RGB'}
    model = models.create('two', len(classes), **options)
    spec = NetworkSpec('two', options)
    card = replace(Card(classes, spec, model.input, data_size=64, model={'name': 'two'}), **facts)
    model_folder.write(folder / 'model', jax.jit(model.init)(jax.random.key(seed)), card)
    for name in ('config.json', 'results.json'):
        (folder / name).write_text('{}')
    return folder


@pytest.fixture(scope='module')
def folds(tmp_path_factory):
    """A cross-validation of three folds, one of which normalizes the light."""
    home = tmp_path_factory.mktemp('sweep')
    (home / 'config.json').write_text('{}')
    for seed in range(3):
        how = CellPreparation(stain='white_balance' if seed == 2 else 'none')
        finished(home / f'variant/grouped-fold-{seed}', seed, cell_preparation=how, trained_on=(f'set {seed % 2}',))
    return home


def shares(path, files):
    return np.stack([row.probabilities for row in predict.predict(predict.load(path), files)])


def test_the_folds_of_a_cross_validation_become_one_model(folds, tmp_path, capsys):
    Image.fromarray(np.random.default_rng(0).integers(40, 160, (64, 64, 3), np.uint8)).save(tmp_path / 'cell.png')
    assert command.main([str(folds), '--to', str(tmp_path / 'one')]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].split() == ['33.3%', 'member_1_variant-grouped-fold-0']
    assert 'the average of 3 models of 3 runs. No test score is known for it' in said
    files = [tmp_path / 'cell.png']
    each = [shares(folds / f'variant/grouped-fold-{seed}', files) for seed in range(3)]
    np.testing.assert_allclose(shares(tmp_path / 'one', files), np.mean(each, 0), atol=1e-12)
    card = model_folder.read_card(tmp_path / 'one')
    assert (card.classes, card.data_size, card.trained_on) == (CLASSES, 64, ('set 0', 'set 1'))
    assert card.scores is card.calibration is None
    with pytest.raises(UserError, match='is there already; name a new folder'):
        command.main([str(folds), '--to', str(tmp_path / 'one')])
    again = ensemble_of_runs.written([tmp_path / 'one', folds / 'variant/grouped-fold-1'], tmp_path / 'two')
    assert again.run.card.member_weights == pytest.approx((1 / 6, 1 / 6, 1 / 6, 1 / 2))


@pytest.mark.parametrize(
    ('facts', 'said'),
    [
        ({'classes': ('a', 'b')}, 'takes the classes a, b, the other a, b, c'),
        ({'data_size': 96}, 'takes cells of data_size 96, the other 64'),
        ({'denoise': 'median'}, 'takes cells filtered by data.denoise median, the other none'),
    ],
)
def test_models_of_other_cells_are_refused_by_name(folds, tmp_path, facts, said):
    other = finished(tmp_path / 'other', **facts)
    with pytest.raises(UserError, match=f'other/model and .*fold-0/model: one {said}'):
        ensemble_of_runs.written([folds, other], tmp_path / 'one')
    assert not (tmp_path / 'one').exists()


def test_what_is_damaged_unfinished_twice_or_no_run_is_named(folds, tmp_path):
    (tmp_path / 'empty').mkdir()
    damaged, unfinished = finished(tmp_path / 'damaged'), finished(tmp_path / 'unfinished')
    (damaged / 'model' / 'checksums.json').write_text('{}')
    (unfinished / 'results.json').unlink()
    first = folds / 'variant/grouped-fold-0'
    for paths, said in (
        ([folds, damaged], 'damaged/model'),
        ([unfinished], 'unfinished: is not finished'),
        ([first, folds], 'grouped-fold-0: is named twice'),
        ([first, first / 'model'], 'grouped-fold-0: is named twice'),
        ([tmp_path / 'empty'], 'empty: holds no model'),
        ([tmp_path / 'nowhere'], 'nowhere: there is no such folder'),
    ):
        with pytest.raises(UserError, match=said):
            ensemble_of_runs.written(paths, tmp_path / 'one')


def test_a_card_whose_members_make_no_sense_is_refused(tmp_path):
    good = {'classes': ['a', 'b'], 'members': ['m_1', 'm_2'], 'member_weights': [0.5, 0.5], 'format': 1}
    for wrong, said in (
        ({'members': ['../m', 'm_2']}, 'expected names of folders that differ'),
        ({'members': ['m_1', 'm_1']}, 'expected names of folders that differ'),
        ({'member_weights': [0.5]}, 'expected a share for each member'),
        ({'member_weights': [1.5, -0.5]}, 'expected a share for each member'),
    ):
        with pytest.raises(UserError, match=said):
            Card.from_json(json.loads(json.dumps({**good, **wrong})), tmp_path / 'facts.json')
    assert Card.from_json(good, tmp_path / 'facts.json').member_weights == (0.5, 0.5)
