"""The convention of all functions: what comes first, what an attribution method returns, and both names of each."""

import inspect

import jax
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.models import Input, Model

KEY = jax.random.key(0)
MODEL = tiny.Tiny()
SHORT = {
    'cam': 'grad_cam', 'check': 'check_gradient', 'density': 'spectral_density', 'guided': 'guided_backprop',
    'integrated': 'integrated_gradients', 'line': 'loss_along_line', 'ntk': 'neural_tangent_kernel',
    'operator': 'curvature_operator', 'over': 'mean_loss', 'per_example': 'per_example_gradients',
    'plane': 'loss_on_plane', 'randomization': 'parameter_randomization', 'similarity': 'gradient_similarity',
    'smooth': 'smoothgrad', 'statistics': 'gradient_statistics', 'trace': 'stochastic_trace',
    'visualize': 'visualize_channel',
}  # fmt: skip
METHODS = {  # with the last axes of their maps
    'saliency': (gradients.saliency, {}, (8, 8, 3)),
    'integrated_gradients': (gradients.integrated_gradients, {'steps': 2}, (8, 8, 3)),
    'guided_backprop': (gradients.guided_backprop, {}, (8, 8, 3)),
    'grad_cam': (gradients.grad_cam, {'layer': 'body'}, (4, 4)),
    'occlusion': (gradients.occlusion, {'window': 4, 'stride': 4}, (8, 8)),
    'rise': (gradients.rise, {'key': KEY, 'masks': 3, 'cells': 2}, (8, 8)),
    'smoothgrad': (gradients.smoothgrad(gradients.saliency, key=KEY, samples=2), {}, (8, 8, 3)),
}
FUNCTIONS = [getattr(gradients, name) for name in gradients.__all__ if name[0].islower() and name not in SHORT]


@pytest.mark.parametrize('short', SHORT)
def test_a_short_name_is_the_function_of_the_full_one(short):
    assert getattr(gradients, short) is getattr(gradients, SHORT[short])
    assert {short, SHORT[short]} <= set(gradients.__all__)


@pytest.mark.parametrize('function', FUNCTIONS, ids=lambda function: function.__name__)
def test_the_network_or_the_loss_comes_first_then_the_parameters(function):
    names = list(inspect.signature(function).parameters)
    assert not {'model', 'network', 'variables'} & set(names)
    if 'apply' in names or 'loss' in names:
        first = [name for name in names if name not in ('method', 'methods')][:2]
        assert first[0] in ('apply', 'loss')
        # of data alone; of checkpoints
        assert first[1] == 'params' or function.__name__ in ('mean_loss', 'tracin', 'trak')
    assert function.__module__.rpartition('.')[2] != function.__name__  # neither hides the other


@pytest.mark.parametrize('name', METHODS)
def test_every_method_returns_an_attribution(variables, name):
    method, options, axes = METHODS[name]
    found = jax.eval_shape(lambda x: method(MODEL, variables, x, 0, **options), tiny.images(2))
    assert isinstance(found, gradients.Attribution)
    assert found.map.shape == (2, *axes)
    assert (found.gap is not None) == (name == 'integrated_gradients')


def test_a_network_may_be_its_function_or_anything_that_has_one(variables):
    model = Model('tiny', MODEL.init, MODEL.apply, Input(8))
    x = tiny.images(2)
    found = [gradients.saliency(network, variables, x, 0).map for network in (MODEL.apply, MODEL, model)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_whole_attribution_given_for_its_map_is_told():
    x, weights = tiny.images(2), tiny.weights()
    found = gradients.saliency(tiny.linear, weights, x, 0)
    calls = (
        lambda: gradients.deletion(tiny.linear, weights, x, 0, found),
        lambda: gradients.infidelity(tiny.linear, weights, x, 0, found, key=KEY),
        lambda: gradients.localization(found, np.ones((2, 8, 8))),
    )
    for call in calls:
        with tiny.unchecked(), pytest.raises(TypeError, match=r'attribution is Attribution: .*attribution\.map'):
            call()
