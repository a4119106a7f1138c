"""Mixup, label smoothing, the average of parameters and group DRO in one step of a tiny network, against NumPy."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from helpers import variables_of

from alljax.models import Input, Model
from alljax.models.trees import flatten
from alljax.storage.checkpoints import Checkpoints
from alljax.training import group_dro, mixup, progress
from alljax.training.monitored_step import make_monitored_step
from alljax.training.progress import Progress
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

RATE, DECAY, GROUP_RATE = 0.1, 0.95, 0.5
LABELS, GROUPS = np.array([0, 1, 2, 0, 1, 2], np.int32), np.array([0, 0, 1, 1, 2, -1], np.int32)
CHOSEN = np.array([0, 1, 2, 3, -1])  # groups 0 and 1; none of group 2


class Small(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, name='norm')(x.reshape(len(x), -1))
        return nn.Dense(3, name='head2')(x)


blended = jax.jit(mixup.blended, static_argnums=3)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture(scope='module')
def training():
    """Two steps with everything on: what the states and the metrics are."""
    module = Small()
    variables = jax.tree.map(np.array, variables_of(lambda key: module.init(key, jnp.zeros((1, 2, 2, 3)))))
    model = Model('small', lambda key: variables, module.apply, Input(2))
    images = np.random.default_rng(0).normal(size=(6, 2, 2, 3)).astype(np.float32)
    setup = TrainingSetup(
        model, optax.sgd(RATE), lambda rows, key: rows, list(flatten(variables['params'])), jnp.ones(3), 3,
        smoothing=0.2, mixup=0.4, average_decay=DECAY, freeze_statistics=True, groups=3, group_rate=GROUP_RATE,
    )  # fmt: skip
    batch = Batch(jnp.asarray(images), jnp.asarray(LABELS), jnp.asarray(CHOSEN), jnp.asarray(GROUPS))
    start = lambda: initial_state(setup, jax.tree.map(jnp.asarray, variables))  # noqa: E731
    step, states, losses = make_step(setup), [jax.tree.map(jnp.array, start())], []
    state = start()
    for _ in range(2):
        state, metrics = step(state, batch)
        states.append(jax.tree.map(jnp.array, state))
        losses.append(float(metrics.loss))
    return SimpleNamespace(setup=setup, batch=batch, start=start, step=step, states=states, losses=losses)


def expected_step(state, number, images):
    """The loss, the gradient of the dense layer and the new weights of the groups, by NumPy."""
    index = np.array([0, 1, 2, 3, 0])
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(3), number), 2)
    mixed, blend = blended(jnp.asarray(images[index]), jnp.asarray(LABELS[index]), key, 0.4)
    share, params = float(blend.share), state.variables['params']
    x = np.asarray(mixed).reshape(5, -1) / np.sqrt(1 + 1e-5)  # running statistics are 0 and 1
    x = x * params['norm']['scale'] + params['norm']['bias']
    p = softmax(x @ params['head2']['kernel'] + params['head2']['bias'])
    hot = lambda label: 0.8 * np.eye(3)[label] + 0.2 / 3  # noqa: E731
    target = share * hot(LABELS[index]) + (1 - share) * hot(np.asarray(blend.label))
    losses = -(target * np.log(p)).sum(-1)[:4]
    means = np.array([losses[:2].mean(), losses[2:4].mean(), 0])
    grown = np.asarray(state.group_weights) * np.exp(GROUP_RATE * means)
    weights = grown / grown.sum()
    cell = np.array([weights[0] / 2, weights[0] / 2, weights[1] / 2, weights[1] / 2])
    return (weights * means).sum(), x[:4].T @ (cell[:, None] * (p - target)[:4]), weights


def test_loss_update_weights_and_average_are_numpy_s(training):
    images, before = np.asarray(training.batch.images), training.states[0]
    average = before.average
    for number, (after, loss) in enumerate(zip(training.states[1:], training.losses, strict=True)):
        value, gradient, weights = expected_step(before, number, images)
        assert loss == pytest.approx(value, rel=1e-4)
        np.testing.assert_allclose(after.group_weights, weights, rtol=1e-4)
        moved = before.variables['params']['head2']['kernel'] - RATE * gradient
        np.testing.assert_allclose(after.variables['params']['head2']['kernel'], moved, atol=1e-5)
        decay, new = min(DECAY, (1 + number) / (10 + number)), flatten(after.variables)
        average = {name: decay * old + (1 - decay) * new[name] for name, old in average.items()}
        for name, leaf in average.items():
            np.testing.assert_allclose(after.average[name], leaf, atol=1e-6, err_msg=name)
            np.testing.assert_array_equal(flatten(after.evaluation_variables)[name], after.average[name])
        before = after
    assert set(average) == {
        'params/norm/scale', 'params/norm/bias', 'params/head2/kernel', 'params/head2/bias', 'batch_stats/norm/mean',
        'batch_stats/norm/var',
    }  # fmt: skip


def test_frozen_statistics_stay(training):
    first, last = training.states[0].variables['batch_stats'], training.states[-1].variables['batch_stats']
    np.testing.assert_array_equal(first['norm']['mean'], last['norm']['mean'])
    np.testing.assert_array_equal(first['norm']['var'], last['norm']['var'])


def test_a_restored_state_goes_on_as_one_that_was_not_saved(training, tmp_path):
    state, _ = training.step(training.start(), training.batch)
    checkpoints = Checkpoints(tmp_path)
    progress.save(checkpoints, Progress(state, None, 0.0), {})
    resumed = progress.restore(*checkpoints.latest(), training.start()).state
    after, _ = training.step(resumed, training.batch)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(training.states[2]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_monitored_step_is_the_same_step(training):
    after, metrics = make_monitored_step(training.setup)(training.start(), training.batch)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(training.states[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert 'gradient_norm/head2' in metrics.gradient_statistics


def test_the_step_lowers_for_cuda(training):
    assert training.step.trace(training.start(), training.batch).lower(lowering_platforms=('cuda',)).as_text()


def test_a_blend_keeps_the_larger_part_its_own():
    rows = jnp.eye(5)
    mixed, blend = blended(rows, jnp.arange(5, dtype=jnp.int32), jax.random.key(4), 0.4)
    share = float(blend.share)
    assert 0.5 <= share <= 1
    np.testing.assert_allclose(mixed, share * rows + (1 - share) * rows[blend.label], rtol=1e-6)
    assert sorted(np.asarray(blend.label)) == list(range(5))


def test_the_shares_are_of_the_beta_distribution():
    shares = jax.jit(jax.vmap(lambda key: mixup.drawn_share(key, 0.4)))(jax.random.split(jax.random.key(0), 4000))
    for point in (0.6, 0.8, 0.95):
        expected = 2 * (scipy.stats.beta.cdf(point, 0.4, 0.4) - 0.5)
        assert float((shares < point).mean()) == pytest.approx(expected, abs=0.03)


def test_groups_are_numbered_on_the_training_side():
    numbers, count = group_dro.numbered(np.array([7, 3, 9, 3, 4], np.int32), np.array([0, 1, 3]))
    assert (numbers.tolist(), count) == ([1, 0, -1, 0, -1], 2)
