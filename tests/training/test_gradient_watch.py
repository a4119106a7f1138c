"""Looks at a training: the curvature of a dense matrix, the angle between two steps, and layers that moved."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import variables_of
from jax.flatten_util import ravel_pytree

from alljax import gradients
from alljax.models import Input, Model
from alljax.models.trees import flatten, unflatten
from alljax.training import gradient_watch
from alljax.training.inputs import Inputs
from alljax.training.step import TrainingSetup, initial_state

LABELS = jnp.arange(10, dtype=jnp.int32) % 3


class Small(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dropout(0.5, deterministic=not train)(jnp.tanh(nn.Dense(4, name='hidden')(x)))
        return nn.Dense(3, name='logits')(x)


@pytest.fixture(scope='module')
def looked():
    """The state, what three looks found, and the network's loss as a function of its trained parameters."""
    module = Small()
    variables = variables_of(lambda key: module.init(key, jnp.zeros((1, 5))))
    model = Model('small', lambda key: variables, module.apply, Input(6))
    names = ['hidden/kernel', 'logits/kernel', 'logits/bias']  # the other bias is frozen
    setup = TrainingSetup(model, optax.sgd(0.1), lambda rows, key: rows, names, jnp.ones(3), 3)
    rows = jax.random.normal(jax.random.key(1), (10, 5))
    fed = Inputs(model, rows, lambda rows, key: rows, jax.jit(module.apply), variables)
    train = np.array([7, 1, 2, 2, 3, 9, 0])
    look = gradient_watch.make_look(setup, fed, LABELS, train, True)
    state = initial_state(setup, variables)
    later = state._replace(variables=jax.tree.map(lambda leaf: 1.5 * leaf, variables))
    gradient = {name: flatten(variables['params'])[name] + 1 for name in names}
    first, memory = look(state, gradient, 0, None)
    second, memory = look(later, jax.tree.map(jnp.negative, gradient), 0, memory)
    third, _ = look(later, gradient, 1, memory)
    cells = jnp.asarray(np.unique(train))

    def loss(parameters, scale=1.0):
        params = unflatten(flatten(jax.tree.map(lambda leaf: scale * leaf, variables['params'])) | parameters)
        chances = jax.nn.log_softmax(module.apply({'params': params}, rows[cells]))
        return -jnp.take_along_axis(chances, LABELS[cells][:, None], 1).mean()

    return state, (first, second, third), loss, (module, rows[cells], later)


def test_the_curvature_is_that_of_the_training_cells_whose_parameters_learn(looked):
    state, numbers, loss, _ = looked
    flat, unravel = ravel_pytree({name: flatten(state.variables['params'])[name] for name in
                                  ('hidden/kernel', 'logits/kernel', 'logits/bias')})  # fmt: skip
    hessian = jax.hessian(lambda flat: loss(unravel(flat)))(flat)
    assert numbers[0]['largest_curvature'] == pytest.approx(float(jnp.linalg.eigvalsh(hessian)[-1]), rel=0.02)
    moved = jax.hessian(lambda flat: loss(unravel(flat), 1.5))(1.5 * flat)
    assert numbers[2]['largest_curvature'] == pytest.approx(float(jnp.linalg.eigvalsh(moved)[-1]), rel=2e-3)


def test_the_angle_is_with_the_gradient_of_the_last_look(looked):
    first, second, third = looked[1]
    assert not [name for name in first if name.startswith(('step_cosine', 'cka'))]
    assert second['step_cosine/all'] == second['step_cosine/hidden'] == pytest.approx(-1)
    assert third['step_cosine/logits'] == pytest.approx(-1)


def test_layers_are_compared_once_an_epoch_with_the_epoch_before(looked):
    state, (first, second, third), _, (module, rows, later) = looked
    assert 'seconds/layers' in first
    assert 'seconds/layers' not in second
    assert {name for name in third if name.startswith('cka/')} == {'cka/hidden', 'cka/logits'}
    now, before = (module.apply(variables, rows) for variables in (later.variables, state.variables))
    assert third['cka/logits'] == pytest.approx(float(gradients.linear_cka(now, before)), abs=1e-5)
    assert third['cka/logits'] < 0.9999
