"""A monitored step: the same step, and numbers that are those of single examples' gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import variables_of

from alljax.models import Input, Model
from alljax.training.monitored_step import make_monitored_step
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

CLASSES, WEIGHTS = 3, np.array([1.0, 2.0, 0.5], np.float32)


class Small(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, name='norm')(nn.Conv(4, (3, 3), (2, 2), name='conv')(x))
        x = nn.Dropout(0.3, deterministic=not train)(nn.tanh(x).reshape(len(x), -1))
        return nn.Dense(CLASSES, name='head')(x)


@pytest.fixture(scope='module')
def training():
    module = Small()
    variables = variables_of(lambda key: module.init(key, jnp.zeros((1, 6, 6, 3))))
    model = Model('small', lambda key: variables, module.apply, Input(6))
    names = ['conv/kernel', 'conv/bias', 'norm/scale', 'norm/bias', 'head/kernel', 'head/bias']
    optimizer = optax.sgd(0.1)
    setup = TrainingSetup(model, optimizer, lambda images, key: images, names, jnp.asarray(WEIGHTS), 3)
    images = jax.random.normal(jax.random.key(1), (8, 6, 6, 3))
    batch = Batch(images, jnp.arange(8, dtype=jnp.int32) % CLASSES, jnp.array([0, 1, 2, 3, 4, -1]))
    return setup, lambda: initial_state(setup, jax.tree.map(jnp.copy, variables)), batch


@pytest.fixture(scope='module')
def monitored(training):
    setup, start, batch = training
    return make_monitored_step(setup)(start(), batch)


def test_a_monitored_step_is_the_same_step(training, monitored):
    setup, start, batch = training
    after, metrics = make_step(setup)(start(), batch)
    assert metrics.gradient_statistics == {}
    for plain, measured in zip(jax.tree.leaves(after), jax.tree.leaves(monitored[0]), strict=True):
        np.testing.assert_allclose(plain, measured, rtol=1e-5, atol=1e-7)


def test_norms_and_ratios_are_those_of_the_update(training, monitored):
    _, start, _ = training
    before, after = (state.variables['params'] for state in (start(), monitored[0]))
    change = jax.tree.map(lambda old, new: (old - new) / 0.1, before, after)
    numbers = monitored[1].gradient_statistics
    for layer in ('conv', 'norm', 'head'):
        flat, own = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree[layer])])
                     for tree in (change, before))  # fmt: skip
        np.testing.assert_allclose(numbers[f'gradient_norm/{layer}'], np.linalg.norm(flat), rtol=1e-3)
        ratio = 0.1 * np.linalg.norm(flat) / np.linalg.norm(own)
        np.testing.assert_allclose(numbers[f'update_ratio/{layer}'], ratio, rtol=1e-3)
    whole = np.linalg.norm(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(change)]))
    np.testing.assert_allclose(numbers['gradient_norm/all'], whole, rtol=1e-3)


def test_noise_and_conflict_are_those_of_the_parts_of_the_batch(training, monitored):
    """The last layer's parts, written out: the batch's own statistics and dropout go into its features alone."""
    _, start, batch = training
    numbers = monitored[1].gradient_statistics
    rows = np.asarray(batch.chosen)[:5]
    index = np.array([0, 1, 2, 3, 4, 0])  # what fills the batch are its own cells, from the first
    dropout, _ = jax.random.split(jax.random.fold_in(jax.random.key(3), 0))
    variables = start().variables
    (logits, seen) = Small().apply(
        variables, batch.images[index], train=True, rngs={'dropout': dropout}, mutable=['batch_stats', 'intermediates'],
        capture_intermediates=lambda module, _: isinstance(module, nn.Dropout),
    )  # fmt: skip
    features = np.asarray(jax.tree.leaves(seen['intermediates'])[0])[:5]
    label = np.asarray(batch.labels)[rows]
    error = (np.asarray(jax.nn.softmax(logits))[:5] - np.eye(CLASSES)[label]) * WEIGHTS[label][:, None]
    each = np.concatenate([np.einsum('ni,no->nio', features, error).reshape(5, -1), error], 1)
    mean = each.mean(0)
    variance = ((each - mean) ** 2).sum() / 4
    signal = mean @ mean - variance / 5
    expected = variance / signal if signal > 0 else np.inf
    np.testing.assert_allclose(numbers['noise_scale/head'], expected, rtol=1e-3)
    sums = np.stack([each[label == name].sum(0) for name in range(CLASSES)])
    cosine = sums @ sums.T / np.outer(*[np.linalg.norm(sums, axis=1)] * 2)
    pairs = [max(-cosine[a, b], 0) for a, b in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(numbers['class_conflict/head'], np.mean(pairs), rtol=1e-3)


def test_a_monitored_step_lowers_for_cuda(training):
    setup, start, batch = training
    make_monitored_step(setup).trace(start(), batch).lower(lowering_platforms=('cuda',))


def test_a_plain_step_computes_nothing_more(training):
    setup, start, batch = training
    state = jax.eval_shape(start)
    plain, measured = (str(jax.make_jaxpr(make(setup))(state, batch)) for make in (make_step, make_monitored_step))
    assert plain.count('dot_general') < measured.count('dot_general')
    assert plain.count('dot_general') == 3  # the dense layer: forward, and both sides of its gradient
