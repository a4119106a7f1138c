import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients import batching

KEY = jax.random.key(3)
MARKS = tiny.images(seed=4)
MODEL = tiny.Tiny()
FUNCTIONS = {
    'saliency': (gradients.saliency, {}),
    'integrated': (gradients.integrated_gradients, {'steps': 7}),
    'integrated, baselines': (gradients.integrated_gradients, {'steps': 3, 'rule': 'midpoint', 'baseline': MARKS}),
    'guided': (gradients.guided_backprop, {}),
    'gradcam++': (gradients.grad_cam, {'layer': 'stem', 'kind': 'gradcam++'}),
    'layercam': (gradients.grad_cam, {'layer': 'body', 'kind': 'layercam'}),
    'occlusion': (gradients.occlusion, {'window': 3, 'stride': 2}),
    'rise': (gradients.rise, {'key': KEY, 'masks': 11, 'cells': 3}),
    'deletion': (gradients.deletion, {'attribution': MARKS, 'steps': 3}),
    'insertion': (gradients.insertion, {'attribution': MARKS, 'steps': 3}),
    'infidelity': (gradients.infidelity, {'attribution': MARKS, 'key': KEY, 'samples': 2}),
    'smooth': (gradients.smoothgrad(gradients.saliency, key=KEY, samples=7), {}),
}


@pytest.fixture(scope='module')
def variables():
    return tiny.variables(MODEL)


QUICK = ('integrated', 'layercam')


@pytest.mark.parametrize(
    'name', [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FUNCTIONS]
)
def test_batches_change_nothing_also_where_the_last_is_smaller(variables, name):
    function, options = FUNCTIONS[name]
    whole = function(MODEL.apply, variables, tiny.images(), tiny.TARGET, **options)
    parts = function(MODEL.apply, variables, tiny.images(), tiny.TARGET, batch_size=2, **options)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        assert len(one) == 5
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize('size', [None, 2, 9])
def test_rows_come_in_order_and_batches_have_one_shape(size):
    shapes = set()

    def double(x, y):
        shapes.add(x.shape)
        return 2 * x, y

    found, others = batching.rows(double, size, np.arange(5), np.arange(10.0).reshape(5, 2))
    np.testing.assert_array_equal(found, 2 * np.arange(5))
    np.testing.assert_array_equal(others, np.arange(10.0).reshape(5, 2))
    assert shapes == {(min(size or 5, 5),)}


@pytest.mark.parametrize('size', [None, 2, 9])
def test_a_total_counts_each_row_once(size):
    found = batching.total(lambda x, present: jnp.where(present, x, 0).sum(), size, np.arange(1, 6))
    assert found == 15


def test_a_batch_of_no_rows_is_told():
    with pytest.raises(ValueError, match='batch_size is 0'):
        gradients.saliency(tiny.linear, tiny.weights(), tiny.images(), 0, batch_size=0)


def test_arrays_of_different_lengths_are_told():
    with pytest.raises(ValueError, match='4 and 5 rows'):
        batching.rows(lambda x, y: x, None, np.zeros(5), np.zeros(4))


def test_no_rows_at_all_are_told():
    with pytest.raises(ValueError, match='no rows'):
        batching.rows(lambda x: x, 2, np.zeros((0, 3)))
