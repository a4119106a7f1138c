"""Every public function refuses what it cannot answer, in a sentence that names the function and the argument."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from calls import (
    CALLS,
    KEY,
    MAP,
    OPERATOR,
    PARAMS,
    STATISTICS,
    TREE,
    X,
    Y,
    apply,
    arguments,
    call,
    loss,
    public,
    to_nan,
)
from flax import nnx

from alljax import gradients
from alljax.gradients.named_parameters import named

IMAGES = {
    'NaN': to_nan(X),
    'integers': np.zeros(X.shape, np.uint8),
    'number': np.float32(1),
    'none': X[:0],
    'list': [1.0],
}
TARGETS = {'short': Y[:3], 'one of four': Y[:1], 'floats': Y.astype(float) + 0.5, 'above': Y + 1, 'below': Y - 1,
           'word': 'blast', 'table': Y[:, None]}  # fmt: skip
LABELS = {'short': Y[:3], 'NaN': to_nan(Y.astype(np.float32)), 'below': Y - 1, 'list': [0, 1, 2, 1]}
CLASSES = LABELS | {'floats': Y + 0.5, 'whole floats': Y.astype(np.float32), 'above': Y + 1, 'table': Y[:, None]}
WHOLE = {key: value for key, value in CLASSES.items() if key != 'above'}  # where the labels say how many there are
VARIABLES = {'NaN': {'weights': to_nan(PARAMS['weights'])}, 'word': {'weights': 'a'}}
TREES = VARIABLES | {'statistics': STATISTICS, 'integers': {'weights': np.ones((8, 8, 3, 3), int)}, 'nothing': {}}
OTHER = TREES | {'shape': {'weights': np.ones((8, 3), np.float32)}, 'names': {'kernel': PARAMS['weights']}}
MAPS = {'NaN': to_nan(MAP), 'flat': MAP[0], 'none': MAP[:0], 'whole': gradients.Attribution(jnp.asarray(MAP))}
SIZED = MAPS | {'size': MAP[:, :4], 'fewer': MAP[:3]}
OPERATORS = {'function': lambda vector: vector, 'NaN': OPERATOR._replace(product=lambda vector: vector * jnp.nan)}
METHODS = {'NaN': lambda *_, **__: gradients.Attribution(jnp.asarray(to_nan(MAP))), 'array': lambda *_, **__: MAP,
           'fewer': lambda *_, **__: gradients.Attribution(jnp.asarray(MAP[:1]))}  # fmt: skip
COUNTS = {'none': 0, 'below': -2, 'part': 1.5}
BASELINES = {'NaN': np.nan, 'infinite': np.inf}
EXAMPLES = {'labels': (X, Y[:3]), 'NaN': (to_nan(X), Y), 'nothing': (X[:0], Y[:0]), 'below': (X, Y - 1)}
WEIGHTS = {'NaN': to_nan(np.ones((3, 4))), 'below': -np.ones((3, 4)), 'flat': np.ones(4), 'short': np.ones((2, 3)),
           'list': [1]}  # fmt: skip
FREE = {'apply', 'loss', 'function', 'layer', 'layers', 'key', 'channel', 'classes', 'kind', 'where', 'which', 'rule',
        'reduce', 'options', 'times_input', 'normalize', 'k', 'keep', 'step',
        'output_loss', 'grid', 'score', 'attend', 'query', 'corrected', 'shared',
        'preconditioner', 'adaptive', 'structure'}  # fmt: skip
OF_OUTPUTS = (
    'curvature_operator',
    'curvature_diagonal',
    'kronecker_factors',
    'laplace_approximation',
)  # whose labels are classes of the network
COUNTED = {'batch_size', 'steps', 'samples', 'masks', 'cells', 'probes', 'iterations', 'points', 'count', 'runs',
           'repeats', 'examples'}  # fmt: skip
SPREAD = {'sigma', 'radius', 'span', 'width', 'ridge', 'noise', 'compactness', 'damping', 'scale',
          'tolerance', 'rate', 'prior_precision'}  # fmt: skip


def bad(name, argument):
    """Bad values of an argument of a function, by what is wrong with them; None for one that has checks of its own."""
    trained = 'loss' in CALLS[name] or name in (
        *OF_OUTPUTS, 'jacobian_operator', 'neural_tangent_kernel', 'random_direction', 'filter_normalized',
        'update_ratio',
    )  # fmt: skip
    trees = OTHER if name in ('filter_normalized', 'update_ratio', 'loss_along_line', 'loss_on_plane') else TREES
    rows = {key: IMAGES[key] for key in ('NaN', 'none', 'list')}
    nan = np.array([np.nan], np.float32)
    values = {
        'x': rows if 'loss' in CALLS[name] else IMAGES,
        'x1': IMAGES,
        'x2': IMAGES | {'size': X[:, :4]},
        'target': TARGETS,
        'y': ({'class_gradients': CLASSES, 'fit_linear_heads': WHOLE, 'held_out_losses': WHOLE}
              | dict.fromkeys(OF_OUTPUTS, TARGETS)).get(name, LABELS),
        'params': trees if trained else VARIABLES,
        'updates': trees,
        'direction': trees,
        'grads': {'NaN': {'a': nan}, 'statistics': {'params': {'a': nan * 0 + 1}, 'batch_stats': {'b': nan * 0 + 1}},
                  'lengths': {'a': np.ones((3, 2), np.float32), 'b': np.ones((2, 2), np.float32)}},
        'directions': {key: tree if name == 'loss_along_line' else (PARAMS, tree) for key, tree in OTHER.items()},
        'checkpoints': {key: [tree] for key, tree in TREES.items()},
        'train': EXAMPLES,
        'test': EXAMPLES,
        'rates': {'NaN': [np.nan], 'two': [0.1, 0.2]},
        'attribution': {key: value for key, value in MAPS.items() if key != 'flat' or name == 'localization'}
        if name in ('localization', 'sparseness', 'complexity') else SIZED,
        'maps': MAPS,
        'baselines': IMAGES | {'size': X[:, :4]},
        'concept': rows | {'size': X[:, :4]},
        'random': rows | {'size': X[:, :4], 'three': X[:3]},
        'other': OTHER if name in ('bezier_bend', 'loss_along_path')
        else rows | ({'fewer': X[:3]} if name == 'linear_cka' else {'size': X[:, :4]}),
        'one': rows | {'fewer': X[:1]},
        'memory': {'tree': TREE, 'list': [1]},
        'bend': OTHER,
        'posterior': {'tree': TREE, 'none': None},
        'neuron': {'far': (9, 2, 3), 'below': (-1, 2, 3), 'fewer': 3},
        'segments': {'floats': MAP, 'size': np.zeros((4, 4, 8), int), 'below': np.full((8, 8), -1), 'list': [1]},
        'percentages': {'none': (), 'all': (100,), 'below': (0, 10)},
        'mask': {'NaN': to_nan(np.ones((4, 8, 8))), 'size': np.ones((4, 4, 8)), 'list': [1]},
        'op': OPERATORS,
        'factors': {'tree': TREE, 'none': None},
        'tree': {'NaN': jnp.full(3, jnp.nan), 'short': jnp.ones(2), 'tree': {'a': jnp.ones(3)}}
        if name == 'conjugate_gradients' else {'NaN': TREE | {'scale': to_nan(np.ones(2, np.float32))}, 'names': PARAMS,
                 'shape': TREE | {'scale': np.ones(3, np.float32)}},
        'methods': {'none': {}, 'list': [1]},
        'measures': {'word': ['faith'], 'none': []},
        'solve': {'NaN': lambda tree: jax.tree.map(lambda leaf: leaf * jnp.nan, tree), 'names': lambda tree: {}},
        'projection': {'word': 'sparse'},
        'folds': {'floats': np.arange(4.0), 'short': Y[:3], 'same': Y * 0, 'list': [0, 1]},
        'example_weights': WEIGHTS,
        'subsets': WEIGHTS,
        'influence': {'NaN': to_nan(np.eye(4)), 'short': np.eye(3), 'list': [1], 'flat': np.ones(4)},
        'outputs': {'NaN': to_nan(np.eye(4)[:3]), 'short': np.eye(3), 'list': [1], 'flat': np.ones(4)},
        'mislabeled': {'none': np.zeros(4), 'all': np.ones(4), 'short': np.eye(3)[0], 'list': [True, False]},
        'share': {'none': 0, 'NaN': np.nan, 'more': 1.5},
        'level': {'all': 1.0, 'NaN': np.nan},
        'scores': {'none': [], 'list': [1.0, 2.0]} if name == 'mislabel_detection' else {'none': []},
        'method': METHODS,
        'arguments': {'NaN': VARIABLES['NaN'], 'integers': TREES['integers']},
        'baseline': BASELINES | ({} if name in ('occlusion', 'rise') else {'shape': np.zeros((5, 8))}),
        'size': {'none': 0, 'below': -8},
        'window': {'none': 0, 'wide': 9},
        'stride': {'none': 0, 'wide': 5},
        'start': {'short': jnp.ones(2), 'NaN': jnp.full(3, jnp.nan), 'zero': jnp.zeros(3), 'tree': {'a': jnp.ones(3)}},
    }  # fmt: skip
    if name == 'check_gradient' and argument == 'directions':
        return COUNTS
    if argument in COUNTED:
        return COUNTS
    return {'NaN': np.nan, 'below': -1.0} if argument in SPREAD else values.get(argument)


CASES = [
    pytest.param(name, argument, values, id=f'{name}-{argument}')
    for name in CALLS
    for argument in arguments(name)
    if (name, argument) != ('resize_map', 'method') and (values := bad(name, argument))
]


def test_no_function_and_no_argument_is_forgotten():
    assert set(CALLS) == set(public())
    assert len(public()) == len({getattr(gradients, name) for name in gradients.__all__ if name[0].islower()})
    for name in CALLS:
        for argument in arguments(name):
            free = argument in FREE or (name, argument) == ('resize_map', 'method')
            assert free or bad(name, argument), f'{name}: {argument}'


@pytest.mark.parametrize(('name', 'argument', 'values'), CASES)
def test_each_bad_value_of_an_argument_is_told_with_the_function_and_its_name(name, argument, values):
    told_by = '(smoothgrad|saliency)' if name == 'smoothgrad' else name  # or by the method that is smoothed
    said = {kind: error_of(name, argument, value) for kind, value in values.items()}
    assert {kind: text for kind, text in said.items() if not re.match(rf'(?s){told_by}: .*{argument}', text)} == {}


def error_of(name, argument, value):
    """The sentence by which a value is refused; '' where it is not."""
    try:
        call(name, **{argument: value})
    except ValueError as error:
        return str(error)
    return ''


@pytest.mark.parametrize('where', ['params/.*', '.*weights'])
def test_statistics_that_a_pattern_leaves_out_are_no_parameters(where):
    bare = np.asarray(gradients.curvature_operator(apply, PARAMS, X, Y)(jnp.ones(PARAMS['weights'].size)))
    found = gradients.curvature_operator(apply, STATISTICS, X, Y, where=where)
    np.testing.assert_array_equal(found(jnp.ones(found.like.size)), bare)
    kernel = gradients.neural_tangent_kernel(apply, STATISTICS, X[:1], X[1:2], where=where)
    np.testing.assert_array_equal(kernel, gradients.neural_tangent_kernel(apply, PARAMS, X[:1], X[1:2]))


@pytest.mark.parametrize(
    ('name', 'instead'),
    [
        ('kronecker_factors', r'use curvature_diagonal, or conj\w+'),
        ('laplace_approximation', r".*take structure='full'"),
    ],
)
def test_a_network_of_another_library_than_linen_has_no_kronecker_factors(name, instead):
    for network, params in ((apply, PARAMS), tiny.of_nnx(tiny.Nnx(nnx.Rngs(0)))):
        first = next(iter(named(params)))
        with pytest.raises(ValueError, match=rf'^{name}: params: no flax.linen.Dense or Conv .*{first}.*; {instead}'):
            call(name, apply=network, params=params)


def test_statistics_are_found_in_any_container():
    module = tiny.Nnx(nnx.Rngs(0), norm=True)
    module.eval()
    network, state = tiny.of_nnx(module)
    with pytest.raises(ValueError, match=r'params holds norm/mean.*, which no gradient trains'):
        gradients.curvature_operator(network, state, X, Y)
    pair = {'net': STATISTICS['params'], 'batch_stats': STATISTICS['batch_stats']}
    with pytest.raises(ValueError, match=r'params holds batch_stats/norm/mean .*params'):
        gradients.random_direction(pair, KEY)
    for tree in ((PARAMS, {'batch_stats': np.zeros(2)}), {'params': PARAMS, 'counters': {'steps': np.zeros(1)}}):
        with pytest.raises(ValueError, match=r'which no gradient trains; give variables'):
            gradients.random_direction(tree, KEY)


def test_within_a_trace_shapes_and_types_are_checked_and_values_are_not():
    weights = PARAMS

    def ask(x, target):
        return gradients.saliency(apply, weights, x, target).map

    found = jax.jit(ask)(X, Y)
    np.testing.assert_allclose(found, ask(X, Y), rtol=1e-6)
    assert np.isnan(jax.jit(lambda x, y: gradients.deletion(apply, weights, X, y, x).area)(MAP, Y + 3)).all()
    with tiny.unchecked():
        for x, target, said in ((X, Y[:3], 'has shape'), (X, Y + 0.5, 'is float'), (X[0], Y, 'has shape')):
            with pytest.raises(ValueError, match=f'saliency: target {said}'):
                jax.jit(ask)(x, target)
        with pytest.raises(ValueError, match=r'tracin: train\[1\] and train\[0\]: the arrays have 5 and 10 rows'):
            jax.jit(lambda x, y: gradients.tracin(loss, [weights], (x, y), (x, x), [1.0]))(
                tiny.images(10), np.arange(5)
            )


def test_the_noise_scale_of_no_numbers_is_none_and_of_no_signal_infinite():
    found = gradients.example_statistics.from_sums(3, np.nan, np.nan)
    assert all(np.isnan(value) for value in found)
    assert np.isinf(gradients.example_statistics.from_sums(3, 6.0, 0.0).noise_scale)
