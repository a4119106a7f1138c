import jax
import pytest
import tiny

from alljax import gradients

KEY = jax.random.key(0)
MODEL = tiny.Tiny()
FUNCTIONS = {
    'saliency': (gradients.saliency, {}),
    'integrated': (gradients.integrated_gradients, {'steps': 3}),
    'guided': (gradients.guided_backprop, {}),
    'cam': (gradients.grad_cam, {'layer': 'body', 'kind': 'gradcam++'}),
    'occlusion': (gradients.occlusion, {'window': 4, 'stride': 4}),
    'rise': (gradients.rise, {'key': KEY, 'masks': 3, 'cells': 2}),
    'deletion': (gradients.deletion, {'attribution': tiny.images(2, seed=4), 'steps': 2}),
}


@pytest.mark.parametrize(
    'name', [name if name in ('guided', 'cam') else pytest.param(name, marks=pytest.mark.slow) for name in FUNCTIONS]
)
def test_it_lowers_for_cuda_within_jit(name):
    function, options = FUNCTIONS[name]

    @jax.jit
    def run(variables, x):
        return function(MODEL.apply, variables, x, 0, **options)

    lowered = run.trace(tiny.variables(MODEL), tiny.images(2)).lower(lowering_platforms=('cuda',))
    assert 'stablehlo.convolution' in lowered.as_text()
