"""Ensembles: chosen on inner folds of the training side, one model folder that predict reads."""

import json
import pickle
import shutil
from dataclasses import replace

import flax.linen as nn
import joblib
import numpy as np
import pytest
from helpers import make_cells
from sklearn.neighbors import KNeighborsClassifier

from alljax import config as fields
from alljax import explain, models, predict, sweep
from alljax.baselines import extraction
from alljax.baselines.classify import CLASSIFIERS, Choice
from alljax.config import resolve
from alljax.data import datasets
from alljax.data.cells import Cells
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.evaluation.calibration import tempered
from alljax.models import Input, Network
from alljax.runs import classical_system, ensemble, ensemble_fit, experiment, inner_folds, kinds, network, results
from alljax.runs.ensemble_kind import ENSEMBLE
from alljax.storage import model_folder
from configs import subtype

CHEAP = {'baseline.system': 'chatap2014', 'baseline.classify': ('three',)}
CANDIDATES = (
    ('shape', CHEAP),
    ('color, white balance', {**CHEAP, 'baseline.features': ('color',), 'data.stain': 'white_balance'}),
    ('standardized', {**CHEAP, 'baseline.standardize': 'slide'}),
)


class Small(nn.Module):
    """A convolution."""

    head: nn.Module

    @nn.compact
    def __call__(self, x, *, train=False):
        return self.head(nn.relu(nn.Conv(4, (5, 5), 4, name='conv')(x)).mean((1, 2)))


@pytest.fixture(scope='module')
def small():
    models.MODELS['small'] = Network(Small, Input(32))
    yield
    del models.MODELS['small']


def config_of(root, candidates=CANDIDATES, **more):
    changes = {'data.root': str(root), 'data.size': 64, 'data.equalize': 'none', 'ensemble.candidates': candidates,
               'ensemble.folds': 2, 'split.test': 0.3, **more}  # fmt: skip
    return fields.with_fields(subtype.get_config(), changes)


def plan_of(config):
    return resolve.resolve(config, fields.flat(config))


@pytest.fixture(scope='module', autouse=True)
def _quick():
    """Measures in this process, as others take longer to start than so few cells take; a classifier without search."""
    few, extraction.FEW = extraction.FEW, 1000
    CLASSIFIERS['three'] = Choice(lambda seed: KNeighborsClassifier(3, algorithm='brute'), {})
    yield
    extraction.FEW = few
    del CLASSIFIERS['three']


@pytest.fixture(scope='module')
def run(drawn, tmp_path_factory):
    return experiment.run(plan_of(config_of(drawn)), tmp_path_factory.mktemp('ensemble') / 'run')


@pytest.mark.slow
def test_results_and_report_say_what_was_chosen_and_on_what(run):
    found = results.read(run)
    assert found['model']['name'] == 'ensemble'
    table = found['ensemble']
    assert [row['candidate'] for row in table['candidates']] == [name for name, _ in CANDIDATES]
    assert (table['choose'], table['folds'], table['cells']) == ('average', 2, found['split']['train_n'])
    weights = [row['weight'] for row in table['candidates'] if row['weight']]
    assert sum(weights) == pytest.approx(1)
    assert [member['weight'] for member in found['model']['members']] == weights
    members = [
        model_folder.read_card(run / 'model' / one['name']).train['accuracy'] for one in found['model']['members']
    ]
    assert found['train']['accuracy'] == pytest.approx(np.average(members, weights=weights))
    assert table['average']['macro_recall'] >= max(row['macro_recall'] for row in table['candidates'])
    assert json.loads((run / 'candidates.json').read_text()) == table
    page = (run / 'report.html').read_text()
    assert 'inner folds of the training side' in page
    assert all(name in page for name, _ in CANDIDATES)
    card = model_folder.read_card(run / 'model')
    assert (card.calibration.source, card.calibration.cells) == ('inner folds', table['cells'])


@pytest.mark.slow
def test_the_answer_is_the_weighted_mean_of_members_that_prepare_cells_their_own_way(run, drawn):
    found = results.predictions(run)[:6]
    files = [drawn / 'ALL_IDB2' / row['file'] for row in found]
    card = model_folder.read_card(run / 'model')
    expected = np.zeros((len(files), 4))
    for name, weight in zip(card.members, card.member_weights, strict=True):
        one = predict.load(run / 'model' / name)
        expected += weight * np.stack([row.probabilities for row in predict.predict(one, files, len(files))])
    whole = np.stack([row.probabilities for row in predict.predict(predict.load(run), files, len(files))])
    np.testing.assert_allclose(whole, tempered(expected, card.calibration.temperature), atol=1e-12)


@pytest.mark.slow
def test_each_member_s_folder_is_a_model_and_explain_says_so(run):
    card = model_folder.read_card(run / 'model')
    with pytest.raises(UserError, match=f'holds an ensemble; expected a network.*model/{card.members[0]}'):
        network.load(run)
    assert classical_system.load(run / 'model' / card.members[0]).classes == card.classes


@pytest.mark.slow
def test_pages_on_a_member_go_to_the_folder_of_the_run(run):
    name = model_folder.read_card(run / 'model').members[0]
    assert explain.default_folder(run / 'model' / name).parent == run
    assert explain.default_folder(run / 'model').parent == run


@pytest.mark.slow
def test_a_finished_run_is_evaluated_again_with_the_same_result(run, drawn):
    before = results.read(run)
    experiment.run(plan_of(config_of(drawn)), run)
    after = results.read(run)
    assert {**after, 'finished': 0, 'seconds_a_cell': 0} == {**before, 'finished': 0, 'seconds_a_cell': 0}


@pytest.mark.slow
def test_a_damaged_member_is_named(run, tmp_path):
    shutil.copytree(run / 'model', tmp_path / 'model')
    name = model_folder.read_card(run / 'model').members[0]
    file = tmp_path / 'model' / name / 'classifier.skops'
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match=name):
        ensemble.load(tmp_path / 'model')
    shutil.rmtree(tmp_path / 'model' / name)
    with pytest.raises(UserError, match=name):
        ensemble.load(tmp_path / 'model')


@pytest.fixture(scope='module')
def cells(drawn):
    plan = plan_of(config_of(drawn))
    return datasets.load(plan.data, 0).take(np.arange(0, 80, 2))


def test_inner_folds_separate_no_group_and_ask_every_cell_once():
    groups = np.repeat(np.arange(12), 3)
    some = make_cells(np.tile([0, 1, 2], 12), groups, size=8)
    parts = inner_folds.folds(some, 5, 0)
    asked = np.concatenate([held for _, held in parts])
    assert sorted(asked) == list(range(len(some)))
    for train, held in parts:
        assert not set(groups[train]) & set(groups[held])
        assert set(some.labels[train]) == {0, 1, 2}
    again = inner_folds.folds(some, 5, 0)
    assert all(
        np.array_equal(a, b) for one, two in zip(parts, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    with pytest.raises(UserError, match='inner folds that separate no group, and the training side has 1'):
        inner_folds.folds(make_cells([0, 1, 0, 1], [0, 0, 0, 0], size=8), 5, 0)


def fitted(cells: Cells, parts: Split, plan, folder):
    """All that a run chose, weighed, calibrated and kept, without how long it took."""
    folder.mkdir()
    made = ensemble_fit.fit(plan, cells, parts, folder)
    card = made.card.to_json()
    told = [one.trained.card.to_json() for one in made.members]
    for one in (card, *told):
        one['train'] = {key: value for key, value in one['train'].items() if key != 'seconds'}
    members = [(joblib.hash(one.trained.estimator), one.trained.standard) for one in made.members]
    return json.dumps([card, told]), str(members), (folder / 'inner.npz').read_bytes()


@pytest.mark.slow
def test_the_tested_slides_cannot_influence_the_recipe(cells, drawn, tmp_path):
    plan = plan_of(config_of(drawn))
    test = np.flatnonzero(cells.groups == cells.groups[0])
    train = np.setdiff1d(np.arange(len(cells)), test)
    parts = Split(train, train[:0], test, 'grouped')
    known = fitted(cells, parts, plan, tmp_path / 'first')
    images, labels = cells.images.copy(), cells.labels.copy()
    images[test], labels[test] = 255 - images[test][::-1], (labels[test] + 1) % 4
    assert fitted(replace(cells, images=images, labels=labels), parts, plan, tmp_path / 'changed') == known
    alone = Split(np.arange(len(train)), train[:0], train[:0], 'grouped')
    assert fitted(cells.take(train), alone, plan, tmp_path / 'removed') == known


@pytest.mark.slow
def test_what_was_asked_before_a_kill_is_taken_if_config_and_cells_are_the_same(cells, drawn, tmp_path, monkeypatch):
    plan = plan_of(config_of(drawn))
    parts = inner_folds.folds(cells, 2, 0)
    first = inner_folds.table(plan, cells, parts, tmp_path)
    asked = []
    monkeypatch.setattr(
        inner_folds, '_probabilities', lambda plan, cells, *_: asked.append(plan) or np.zeros((len(cells), 4))
    )
    np.testing.assert_array_equal(inner_folds.table(plan, cells, parts, tmp_path), first)
    assert not asked
    compressed = bytearray((tmp_path / 'inner.npz').read_bytes())
    compressed[compressed.find(b'PK\1\2') + 10] ^= 4  # one bit: a compression that no zipfile knows
    for number, bad in enumerate((b'damaged', b'', bytes(compressed)), 1):
        (tmp_path / 'inner.npz').write_bytes(bad)
        inner_folds.table(plan._replace(candidates=plan.candidates[:1]), cells, parts, tmp_path)
        assert len(asked) == number
    inner_folds.table(plan, replace(cells, labels=cells.labels[::-1].copy()), parts, tmp_path)
    assert len(asked) == 6


@pytest.mark.slow
def test_a_network_beside_a_system_leaves_nothing_of_its_inner_training(cells, drawn, small, tmp_path):
    tiny = {'model.name': 'small', 'model.init': 'random', 'model.head': 4, 'epochs': 1, 'batch_size': 20,
            'augment.rotate': 0.0, 'augment.mirror': False}  # fmt: skip
    plan = plan_of(
        config_of(drawn, (('tiny', tiny), CANDIDATES[0]), **{'ensemble.choose': 'all', 'split.validation': 0.3})
    )
    every = np.arange(len(cells))
    cells = replace(cells, groups=every.astype(np.int32), group_names=cells.names)
    made = ensemble_fit.fit(plan, cells, Split(every, every[:0], every[:0], 'grouped'), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {'inner.npz', 'candidates.json', 'model'}
    assert made.card.member_weights == (0.5, 0.5)
    loaded = ensemble.load(tmp_path)
    shares = ensemble.predictor(loaded)(cells.images[:5], 5)
    assert shares.shape == (5, 4)
    assert kinds.of_model(tmp_path) is ENSEMBLE
    assert network.load(tmp_path / 'model' / loaded.members[0].name).classes == cells.classes


def test_problems_of_all_candidates_are_told_together():
    config = config_of('/nowhere', (
        ('first', {'data.size': 96, 'baseline.sytem': 'putzu2014'}),
        ('second', {'baseline.system': 'putzu2014', 'loss.smoothing': 0.1}),
        ('third', {'epochs': 'many', 'model.init': 'random'}),
    ))  # fmt: skip
    with pytest.raises(UserError) as caught:
        plan_of(config)
    first, misspelled, second, third = caught.value.problems
    assert first.startswith('candidate first: data.size is the same for all candidates of an ensemble')
    assert "there is no field baseline.sytem, did you mean 'baseline.system'?" in misspelled
    assert second.startswith('candidate second: config.loss.smoothing is 0.1')
    assert third == "candidate third: epochs is 'many'; expected a value such as 100"
    for wrong, said in (
        ((('a', CHEAP), ('a', CHEAP)), 'a name of its own'),
        ((1, 2), 'expected'),
        (('ab',), 'expected'),
    ):
        with pytest.raises(UserError, match=said):
            plan_of(config_of('/nowhere', wrong))
    with pytest.raises(UserError, match=r'config\.split\.protocol is paper'):
        plan_of(config_of('/nowhere', **{'split.protocol': 'paper'}))


@pytest.mark.slow
def test_a_sweep_varies_candidates_and_estimates_the_time_of_all(drawn, small, tmp_path, capsys):
    tiny = {'model.name': 'small', 'model.init': 'random', 'model.head': 4, 'epochs': 2}
    (tmp_path / 'mine.py').write_text(
        'from alljax.sweep import Sweep, Variant\n'
        f'both = {(("tiny", tiny), CANDIDATES[0])!r}\n'
        "sweep = lambda: Sweep('Two', [Variant('both', {'ensemble.candidates': both})], ('grouped',))\n"
    )
    config = config_of(drawn, (), **{'split.folds': 2, 'batch_size': 20})
    assert sweep.launch(config, str(tmp_path / 'mine.py'), {}, tmp_path / 'none', dry_run=True)
    first, second, total = capsys.readouterr().out.splitlines()
    assert first.startswith('both, grouped fold 1 (fold-0)  36 cells, 72 an epoch, train  44 are tested  ')
    assert '16 steps' in first  # 2 epochs of 4, in 2 folds without a half, and once more on the whole
    assert second.split()[3] == '2'
    assert total.startswith('2 runs, about')
    assert pickle.loads(pickle.dumps(plan_of(config_of(drawn)))) == plan_of(config_of(drawn))


def test_a_candidate_is_the_run_s_config_with_its_fields_changed(drawn):
    config = config_of(drawn, (('a', (('baseline.system', 'putzu2014'), ('augment.copies', 'published'))),
                               ('b', {**CHEAP, 'data.crop': 40})), **{'data.stain': 'macenko'})  # fmt: skip
    plan = plan_of(config)
    first, second = plan.candidates
    assert (first.name, first.plan.system.name, first.plan.preparation.stain) == ('a', 'putzu2014', 'macenko')
    assert first.plan.augmentation.copies == 'published'
    assert (second.plan.preparation.crop, second.plan.candidates) == (40, ())
    assert (plan.preparation.stain, plan.augmentation.copies, plan.system) == ('none', 'fresh', None)
    assert kinds.of_plan(plan) is ENSEMBLE
    assert json.loads(json.dumps(plan.fields['ensemble.candidates']))[1] == [
        'b',
        {**CHEAP, 'baseline.classify': ['three'], 'data.crop': 40},
    ]
