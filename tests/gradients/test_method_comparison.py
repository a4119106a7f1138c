import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients.method_comparison import MEASURES, MethodScore

KEY = jax.random.key(0)
X, WEIGHTS, Y = tiny.images(4), {'weights': tiny.weights() / 10}, np.array([0, 1, 2, 1])
MASK = np.zeros((4, 8, 8), bool)
MASK[:, 2:6, 2:6] = True


def apply(params, x):
    return tiny.linear(params['weights'], x)


def coarse(apply, params, x, target):
    """A map of a layer's size."""
    return gradients.Attribution(jnp.abs(gradients.saliency(apply, params, x, target).map[:, ::2, ::2]).sum(3))


METHODS = {
    'saliency': gradients.saliency,
    'coarse': coarse,
}


@pytest.fixture(scope='module')
def table():
    return gradients.judge_methods(METHODS, apply, WEIGHTS, X, Y, key=KEY, mask=MASK)


@pytest.mark.slow
def test_every_measure_that_means_anything_is_taken_of_every_method(table):
    asked = {(row.method, row.measure) for row in table}
    expected = {(method, measure) for method in METHODS for measure in MEASURES} - {('coarse', 'infidelity')}
    assert asked == expected
    assert {row.inputs for row in table} == {4}
    for row in table:
        assert row.low <= row.mean <= row.high
        np.testing.assert_allclose(row.mean, row.values.mean(), rtol=1e-6)
        assert row.values.min() <= row.low <= row.high <= row.values.max()


@pytest.mark.slow
def test_the_numbers_are_those_of_the_functions(table):
    found = {(row.method, row.measure): row.values for row in table}
    maps = gradients.saliency(apply, WEIGHTS, X, Y).map
    np.testing.assert_allclose(found['saliency', 'deletion'], gradients.deletion(apply, WEIGHTS, X, Y, maps).area)
    np.testing.assert_allclose(found['saliency', 'mass'], gradients.localization(maps, MASK).mass)
    np.testing.assert_allclose(found['saliency', 'infidelity'], 0, atol=1e-8)  # the network is linear
    large = gradients.resize_map(coarse(apply, WEIGHTS, X, Y).map, 8)
    np.testing.assert_allclose(found['coarse', 'sparseness'], gradients.sparseness(large), rtol=1e-5)
    assert len({row.measure for row in gradients.judge_methods(METHODS, apply, WEIGHTS, X, Y, key=KEY,
                                                               measures=['irof', 'pointing'])}) == 1  # fmt: skip


def score(method, measure, values, higher=False):
    values = np.array(values, float)
    return MethodScore(method, measure, np.nanmean(values), 0, 0, len(values), higher, values)


def test_ranks_are_means_over_measures_by_their_direction():
    rows = [score('a', 'deletion', [1, 2]), score('b', 'deletion', [3, 4]), score('c', 'deletion', [3, 4]),
            score('a', 'insertion', [5, 6], True), score('b', 'insertion', [7, np.nan], True),
            score('a', 'sparseness', [0, 0], True), score('c', 'sparseness', [9, 9], True)]  # fmt: skip
    found = {rank.method: rank for rank in gradients.rank_methods(rows)}
    assert {name: rank.mean_rank for name, rank in found.items()} == {'a': 1.5, 'b': 1.75, 'c': 2.5}
    assert {name: rank.first for name, rank in found.items()} == {'a': 1, 'b': 1, 'c': 0}
    assert [rank.method for rank in gradients.rank_methods(rows)] == ['a', 'b', 'c']
    assert all(rank.low <= rank.mean_rank <= rank.high for rank in found.values())


def test_what_cannot_be_compared_is_told():
    with tiny.unchecked():
        for given, said in (({'measures': ['deletions']}, 'measures are .* there are deletion, insertion'),
                            ({'level': 1.0}, 'level is 1.0'), ({'mask': MASK[:2]}, 'mask is .2, 8, 8.; expected .4'),
                            ({'methods': {}}, 'methods are')):  # fmt: skip
            methods = given.pop('methods', METHODS)
            with pytest.raises(ValueError, match=f'judge_methods: {said}'):
                gradients.judge_methods(methods, apply, WEIGHTS, X, Y, key=KEY, **given)
        with pytest.raises(ValueError, match='rank_methods: scores hold no measure'):
            gradients.rank_methods([])
