"""Every public function within jit, within vmap and in float64: the numbers of a call outside, or a sentence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from calls import CALLS, PARAMS, call

from alljax import gradients

TRACED = {
    'params', 'x', 'x1', 'x2', 'y', 'target', 'key', 'attribution', 'maps', 'mask', 'grads', 'updates', 'direction',
    'directions', 'checkpoints', 'train', 'test', 'baselines', 'concept', 'random', 'other',
    'tree', 'factors', 'posterior', 'bend', 'influence', 'outputs', 'scores',
}  # fmt: skip
LABELS = {'target', 'y'}
OUTSIDE = ('layer_names', 'check_gradient', 'judge_methods', 'rank_methods', 'watch')  # of jit
NAMES = [name for name in CALLS if name not in OUTSIDE]
QUICK = ('saliency', 'deletion', 'class_gradients', 'curvature_operator', 'eigenvectors')  # beside tracing all


def arrays(name, but=()):
    """The arguments that are arrays or trees of some."""
    return {key: value for key, value in CALLS[name].items() if key in TRACED - set(but)}


def outcome(name, given):
    """What a call finds, as a tree of arrays."""
    found = call(name, **given)
    if isinstance(found, gradients.JacobianOperator):
        return found(jnp.ones_like(found.like)), found.transposed(found.outputs)
    return found(jnp.ones_like(found.like)) if isinstance(found, gradients.Operator) else found


@functools.cache
def outside(name):
    return outcome(name, {})


@functools.cache
def traced(name):
    return jax.eval_shape(functools.partial(outcome, name), arrays(name))


def assert_close(found, expected, rtol=2e-4):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-5 * max(1e-3, np.abs(other).max()))


@pytest.mark.parametrize('name', NAMES)
def test_it_is_traced_with_labels_that_are_traced_or_closed_over(name):
    found = jax.eval_shape(functools.partial(outcome, name), arrays(name, LABELS))
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, traced(name))


@pytest.mark.parametrize('name', [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_within_jit_it_finds_the_same_numbers(name):
    assert_close(jax.jit(functools.partial(outcome, name))(arrays(name)), outside(name))


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_vmap_over_two_networks_asks_each_and_float64_stays_float64(name):
    with jax.enable_x64(True):
        many = jax.tree.map(lambda leaf: jnp.stack([_double(leaf)] * 2), arrays(name))
        given = {'op': CALLS[name]['op']._replace(like=jnp.ones(3, jnp.float64))} if 'op' in CALLS[name] else {}
        found = jax.eval_shape(jax.vmap(lambda one: outcome(name, one | given)), many)
    assert jax.tree.map(lambda leaf: leaf.shape[1:], found) == jax.tree.map(jnp.shape, traced(name))
    floats = {leaf.dtype for leaf in jax.tree.leaves(found) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert floats == (set() if name == 'superpixels' else {np.dtype('float64')})  # which are integers


@pytest.mark.parametrize('name', ['saliency', pytest.param('tracin', marks=pytest.mark.slow)])
def test_vmap_finds_the_numbers_of_each(name):
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), jax.tree.map(_as_array, PARAMS))
    argument = 'params' if 'params' in CALLS[name] else 'checkpoints'

    def ask(params):
        return outcome(name, {argument: params if argument == 'params' else [params]})

    assert_close(jax.vmap(ask)(many), jax.tree.map(lambda *leaves: jnp.stack(leaves), ask(PARAMS), ask(_doubled())))


@pytest.mark.slow
@pytest.mark.parametrize('dtype', ['bfloat16', pytest.param('float16', marks=pytest.mark.slow)])
@pytest.mark.parametrize('name', [name for name in NAMES if 'params' in CALLS[name] or 'checkpoints' in CALLS[name]])
def test_parameters_of_half_precision_are_taken(name, dtype):
    half = {'params', 'checkpoints', 'direction', 'directions', 'updates'}
    narrow = {key: jax.tree.map(lambda leaf: _as_array(leaf).astype(dtype), value)
              for key, value in arrays(name).items() if key in half}  # fmt: skip
    found = jax.eval_shape(lambda narrow: outcome(name, narrow), narrow)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, traced(name))


def test_statistics_of_half_precision_are_summed_in_float32():
    rng = np.random.default_rng(0)
    wide = {'weights': jnp.asarray(rng.normal(size=(8, 8, 3, 3)), jnp.bfloat16).astype(jnp.float32)}
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), wide)
    given = {name: call('gradient_statistics', params=params)['all'] for name, params in
             (('wide', wide), ('half', half))}  # fmt: skip
    assert given['half'].variance.dtype == jnp.float32
    np.testing.assert_allclose(given['half'].variance, given['wide'].variance, rtol=0.02)


def test_what_cannot_be_traced_says_so():
    with tiny.unchecked(), pytest.raises(ValueError, match=r'check_gradient: arguments are traced; .*outside of jit'):
        jax.jit(lambda tree: call('check_gradient', arguments=tree))(PARAMS)
    with tiny.unchecked(), pytest.raises(ValueError, match=r'class_gradients: y is traced, .*give classes'):
        jax.jit(lambda y: call('class_gradients', y=y, classes=0))(CALLS['class_gradients']['y'])


def _as_array(leaf):
    return jnp.asarray(leaf)


def _double(leaf):
    leaf = jnp.asarray(leaf)
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _doubled():
    return jax.tree.map(lambda leaf: 2 * leaf, PARAMS)
