import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import variables_of

from alljax import models
from alljax.data import augment
from alljax.data.augment import Augmentation
from alljax.models import Input, Model
from alljax.models.trees import flatten
from alljax.training import inference, inputs
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step


class Small(nn.Module):
    """Layers named as AlexNet's, whose program takes a tenth of the time to compile."""

    dropout: float

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.relu(nn.Conv(4, (7, 7), 4, name='conv1')(x))
        x = nn.relu(nn.Conv(16, (3, 3), 2, name='conv2')(x))
        x = nn.relu(nn.Dense(24, name='fc')(x.reshape(len(x), -1)))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(3, name='head')(x)


def small(dropout=0.5):
    module = Small(dropout)
    return Model('small', lambda key: module.init(key, jnp.zeros((1, 64, 64, 3))), module.apply, Input(64))


def alexnet():
    return models.create('alexnet', 3, width=0.05, head=8, size=64, platform='gpu')


def prepare(images, key):
    angle, sign = augment.draw(key, images.shape[0], degrees=180.0, mirror=True)
    return augment.warp(images, angle, sign, 64) / 255


def plain(images, key):
    return images / jnp.float32(255)


def setting(model, prepare=prepare, frozen=(), seed=0):
    variables = variables_of(model.init)
    names = [name for name in flatten(variables['params']) if not name.startswith(tuple(frozen))]
    optimizer = optax.sgd(0.01, momentum=0.9)
    setup = TrainingSetup(model, optimizer, prepare, names, jnp.ones(3), seed)
    return make_step(setup), initial_state(setup, variables)


@pytest.fixture(scope='module')
def cells():
    images = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), np.uint8)
    return jnp.asarray(images), jnp.arange(12, dtype=jnp.int32) % 3


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def test_a_step_is_a_function_of_seed_and_step(cells):
    batch = Batch(*cells, jnp.arange(4))
    runs = []
    for seed in (0, 0, 1):
        step, state = setting(small(), seed=seed)
        for _ in range(2):
            state, _ = step(state, batch)
        runs.append(state)
    assert same(runs[0], runs[1])
    assert not same(runs[0].variables, runs[2].variables)
    assert int(runs[0].step) == 2


def test_padding_adds_nothing(cells):
    step, state = setting(small(dropout=0.0), plain)
    _, whole = step(jax.tree.map(jnp.copy, state), Batch(*cells, jnp.array([3, 4, 5])))
    after, padded = step(jax.tree.map(jnp.copy, state), Batch(*cells, jnp.array([3, 4, 5, -1, -1])))
    expected, _ = step(state, Batch(*cells, jnp.array([3, 4, 5])))
    assert int(padded.cells) == 3
    np.testing.assert_allclose(padded.loss, whole.loss, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(after.variables), jax.tree.leaves(expected.variables), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_class_weights_scale_the_loss(cells):
    model = small(dropout=0.0)
    variables, optimizer = variables_of(model.init), optax.sgd(0.01)
    names = list(flatten(variables['params']))
    losses = []
    for weights in ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]):
        setup = TrainingSetup(model, optimizer, plain, names, jnp.array(weights), 0)
        state = initial_state(setup, jax.tree.map(jnp.copy, variables))
        losses.append(float(make_step(setup)(state, Batch(*cells, jnp.arange(6)))[1].loss))
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-5)


def test_frozen_layers_stay_and_get_no_gradient_work(cells):
    batch = Batch(*cells, jnp.arange(4))
    frozen = ('conv', 'fc')
    step, state = setting(small(), plain, frozen)
    before = jax.tree.map(np.array, state.variables)
    cost = step.lower(state, batch).compile().cost_analysis()['flops']
    after, _ = step(state, batch)
    for name, leaf in flatten(after.variables['params']).items():
        assert np.array_equal(leaf, flatten(before['params'])[name]) == name.startswith(frozen), name
    assert sum(leaf.size for leaf in jax.tree.leaves(after.optimizer)) < 20_000  # no momentum for frozen layers
    full_step, full_state = setting(small(), plain)
    full = full_step.lower(full_state, batch).compile().cost_analysis()['flops']
    assert cost < 0.6 * full


def test_the_step_and_the_forward_pass_lower_for_cuda(cells):
    model = alexnet()
    step, state = setting(model)
    lowered = step.trace(state, Batch(*cells, jnp.arange(4))).lower(lowering_platforms=('cuda',))
    assert 'stablehlo.convolution' in lowered.as_text()
    inference.make_logits(model).trace(state.variables, cells[0]).lower(lowering_platforms=('cuda',))
    every = Augmentation(light=0.1, stain=0.1, blur=1.0, noise=5.0, jpeg=50, gray=0.2)
    jitter = jax.jit(inputs.make_prepare(model, every)).trace(cells[0], jax.random.key(0))
    assert jitter.lower(lowering_platforms=('cuda',)).as_text()


def test_the_program_that_prepares_cells_without_jitter_is_that_of_turns_and_light_alone(cells):
    model = alexnet()

    def alone(images, key):
        place, light = jax.random.split(key)
        angle, sign = augment.draw(place, images.shape[0], degrees=180.0, mirror=True)
        image = augment.relight(augment.warp(images, angle, sign, 64), light, 0.1)
        return inference.to_input(image, model.input)

    found, expected = (
        jax.make_jaxpr(prepare)(cells[0], jax.random.key(0))
        for prepare in (inputs.make_prepare(model, Augmentation(light=0.1)), alone)
    )
    assert str(found) == str(expected)


def test_the_state_is_donated(cells):
    step, state = setting(small())
    step(state, Batch(*cells, jnp.arange(4)))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.variables))


def test_inference_counts_the_last_partial_batch(cells):
    model = small()
    variables = variables_of(model.init)
    logits = inference.make_logits(model)
    index = np.array([7, 1, 5, 0, 11])
    whole = inference.run(logits, variables, cells[0], index, 5)
    parts = inference.run(logits, variables, cells[0], index, 2)
    assert parts.shape == (5, 3)
    np.testing.assert_allclose(whole, parts, atol=1e-6)
