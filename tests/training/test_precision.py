import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alljax.models import Input, Model
from alljax.models.trees import flatten
from alljax.training import inference
from alljax.training.precision import PRECISIONS
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

STEPS = 12


class Small(nn.Module):
    """A convolution, a batch normalization and a head."""

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(8, (3, 3), 2, name='conv')(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.5, name='norm')(x))
        return nn.Dense(3, name='head')(x.mean((1, 2)))


@pytest.fixture(scope='module')
def network():
    module = Small()
    form = Input(16)
    model = Model('small', lambda key: module.init(key, jnp.zeros((1, 16, 16, 3))), module.apply, form)
    return model, jax.tree.map(np.asarray, model.init(jax.random.key(0)))


@pytest.fixture(scope='module')
def batch():
    """Cells that are told apart by their color."""
    labels = np.arange(12, dtype=np.int32) % 3
    images = np.random.default_rng(0).integers(0, 120, (12, 16, 16, 3), np.uint8)
    images[np.arange(12), ..., labels] += 100
    return Batch(jnp.asarray(images), jnp.asarray(labels), jnp.arange(12))


def setup_of(network, precision):
    model, variables = network
    names = list(flatten(variables['params']))

    def prepare(images, key):
        return inference.prepared(images, model.input)

    return TrainingSetup(model, optax.adam(3e-2), prepare, names, jnp.ones(3), 0, precision=precision)


@pytest.fixture(scope='module')
def curves(network, batch):
    """The losses of each precision, and the state after the last step."""
    found = {}
    for precision in PRECISIONS:
        setup = setup_of(network, precision)
        step, state, losses = make_step(setup), initial_state(setup, jax.tree.map(jnp.asarray, network[1])), []
        for _ in range(STEPS):
            state, metrics = step(state, batch)
            losses.append(metrics.loss)
        found[precision] = np.array(losses), state
    return found


def test_tf32_is_float32_on_a_cpu(curves):
    np.testing.assert_array_equal(curves['tf32'][0], curves['float32'][0])


def test_the_loss_in_bfloat16_falls_as_that_in_float32(curves):
    full, half = curves['float32'][0], curves['bf16'][0]
    assert full[-1] < 0.5 * full[0]
    assert (full != half).any()
    np.testing.assert_allclose(half, full, rtol=0.05, atol=0.01)


def test_parameters_statistics_and_losses_stay_float32(curves):
    losses, state = curves['bf16']
    assert losses.dtype == np.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(state.variables)} == {np.dtype('float32')}


def test_products_are_of_the_precision_that_is_asked_for(network, batch):
    def program(precision):
        setup = setup_of(network, precision)
        state = initial_state(setup, jax.tree.map(jnp.asarray, network[1]))
        return make_step(setup).trace(state, batch).lower(lowering_platforms=('cuda',)).as_text()

    assert 'precision_config = [#stablehlo<precision HIGHEST>' in program('float32')
    assert 'HIGHEST' not in program('tf32')
    assert 'tensor<12x8x8x8xbf16>' in program('bf16')
