"""Heads that are trained on features, against heads that are trained on pictures."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import make_cells, plan_of, variables_of

from alljax.data.protocol import divide
from alljax.models import MODELS, Input, Network, create, cut, from_nnx
from alljax.models.trees import flatten
from alljax.runs import network
from alljax.training import frozen_features, inference, learning_rate_factors, optimizer
from alljax.training.inputs import make_prepare, merge_trained
from alljax.training.loop import batches
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step
from configs import common

CELLS = make_cells([0, 1, 2] * 14, size=64)


def config(**model):
    values = common.get_config()
    values.model.update({'width': 0.05, 'head': 8, 'size': 64, 'freeze': '(?!head/).*', **model})
    values.augment.copies, values.split.protocol, values.batch_size = 'published', 'random', 8
    return values


def factors_of(plan, variables):
    return learning_rate_factors.trained(variables['params'], plan.training.factors, plan.training.freeze)


def trained(values, cells, parts, features):
    """The head after three epochs on the very same batches, from features or from pictures."""
    plan = plan_of(values)
    model = plan.network.create(3)
    variables = variables_of(model.init)
    factors = factors_of(plan, variables)
    fed = network.inputs_of(plan, model, variables, cells, factors)
    if not features:
        images, prepare = jnp.asarray(cells.images), make_prepare(model, plan.augmentation)
        fed = fed._replace(model=model, images=images, prepare=prepare, variables=variables)
    schedule = network.schedule_of(plan, cells, parts)
    update = optimizer.make(plan.training.optimizer, factors, 3 * schedule.steps_per_epoch, schedule.steps_per_epoch)
    setup = TrainingSetup(fed.model, update, fed.prepare, factors, jnp.ones(3), 0)
    step, state = make_step(setup), initial_state(setup, jax.tree.map(jnp.copy, fed.variables))
    for epoch in range(3):
        for index in batches(schedule, epoch):
            state, _ = step(state, Batch(fed.images, jnp.asarray(cells.labels), jnp.asarray(index)))
    return merge_trained(variables, state.variables), variables


@pytest.mark.parametrize(
    'model',
    [
        pytest.param({}, id='alexnet'),
        pytest.param({'name': 'squeezenet1_1', 'width': 0.1, 'head': 0}, id='squeezenet1_1', marks=pytest.mark.slow),
        pytest.param({'name': 'efficientnet_lite0', 'width': 0.1}, id='efficientnet_lite0', marks=pytest.mark.slow),
    ],
)
def test_the_head_is_the_same_as_without_the_cache(model):
    values = config(**model)
    values.optimizer.rate = 1e-3
    plan = plan_of(values)
    cells, parts = divide(CELLS, plan.split, plan.augmentation, 0)
    assert len(cells) > len(CELLS)
    (by_features, start), (by_pictures, _) = (trained(values, cells, parts, features) for features in (True, False))
    first, second, before = flatten(by_features['params']), flatten(by_pictures['params']), flatten(start['params'])
    for name, leaf in first.items():
        np.testing.assert_allclose(leaf, second[name], atol=1e-5, err_msg=name)
        moved = not np.array_equal(leaf, before[name])
        assert moved == name.startswith('head/'), name


@pytest.mark.slow
def test_features_are_computed_once_for_all_splits_and_heads(monkeypatch):
    asked = []
    given = inference.in_batches

    def counted(logits, variables, images, index, batch_size):
        asked.append(len(index))
        return given(logits, variables, images, index, batch_size)

    monkeypatch.setattr(inference, 'in_batches', counted)
    values = config(width=0.04)
    variables = variables_of(plan_of(values).network.create(3).init, 1)

    def features(values):
        plan = plan_of(values)
        cells, _ = divide(CELLS, plan.split, plan.augmentation, 0)
        fed = network.inputs_of(plan, plan.network.create(3), variables, cells, factors_of(plan, variables))
        return np.asarray(fed.images)

    first = features(values)
    assert asked == [len(first)]
    np.testing.assert_array_equal(features(values), first)
    wider = config(width=0.04, head=16)
    np.testing.assert_array_equal(features(wider), first)
    assert asked == [len(first)]
    values.split.repeats, values.split.repeat = (
        2,
        1,
    )  # another split: copies that were not made before, the others known
    features(values)
    assert sum(asked) < 1.5 * len(first)
    values.data.color = 'HSV'
    assert not np.array_equal(features(values)[: len(CELLS)], first[: len(CELLS)])


def test_the_key_names_all_that_features_depend_on():
    def key(color='RGB', seed=0, about=None, size=64):
        body, _ = cut('alexnet', 3, head=8, width=0.05, size=size, color=color)
        return frozen_features.key(body, variables_of(body.init, seed), about or {})

    keys = [key(), key(color='HSV'), key(seed=1), key(about={'averaged': True}), key(size=80)]
    assert len(set(keys)) == len(keys)
    assert key() == key()


def test_the_head_s_own_variables_are_no_part_of_the_key():
    body, _ = cut('alexnet', 3, head=8, width=0.05, size=64)
    variables = variables_of(create('alexnet', 3, head=8, width=0.05, size=64).init)
    other = {
        'params': {**variables['params'], 'head': jax.tree.map(lambda leaf: leaf + 1, variables['params']['head'])}
    }
    assert frozen_features.key(body, variables, {}) == frozen_features.key(body, other, {})


def test_augmentation_at_each_step_keeps_the_pictures(caplog):
    values = config()
    values.augment.copies = 'fresh'
    plan = plan_of(values)
    assert plan.augmentation.at_each_step
    model = plan.network.create(3)
    variables = variables_of(model.init)
    with caplog.at_level('INFO', 'alljax'):
        fed = network.inputs_of(plan, model, variables, CELLS, factors_of(plan, variables))
    assert fed.images.shape == CELLS.images.shape
    assert '--config.augment.copies=published computes them once' in caplog.text
    values.augment.rotate, values.augment.mirror = 0.0, False
    assert not plan_of(values).augmentation.at_each_step


def test_a_network_that_is_no_linen_module_is_not_cut():
    class Own:
        pass

    MODELS['nnx of a test'] = Network(from_nnx(Own), Input(32))
    try:
        assert cut('nnx of a test', 3) is None
    finally:
        del MODELS['nnx of a test']


def test_the_step_on_features_lowers_for_a_gpu():
    values = config()
    _, head = cut('alexnet', 3, head=8, width=0.05, size=64)
    variables = variables_of(create('alexnet', 3, head=8, width=0.05, size=64).init)
    plan = plan_of(values)
    factors = factors_of(plan, variables)
    update = optimizer.make(plan.training.optimizer, factors, 10, 5)
    setup = TrainingSetup(head, update, lambda rows, key: rows, factors, jnp.ones(3), 0)
    step, state = make_step(setup), initial_state(setup, {'params': {'head': variables['params']['head']}})
    width = variables['params']['head']['hidden']['kernel'].shape[0]
    batch = Batch(jnp.ones((9, width)), jnp.zeros(9, jnp.int32), jnp.arange(8))
    assert step.trace(state, batch).lower(lowering_platforms=('cuda',)).as_text()


def test_a_cut_cache_file_is_never_left_behind(tmp_path, monkeypatch):
    body, _ = cut('alexnet', 3, head=8, width=0.05, size=64)
    variables = variables_of(body.init)
    monkeypatch.setattr(Path, 'replace', lambda *_: (_ for _ in ()).throw(OSError('no space')))
    with pytest.raises(OSError, match='no space'):
        frozen_features.features(body, variables, {}, CELLS.images, 8, tmp_path)
    assert not list(tmp_path.rglob('*.npz'))
