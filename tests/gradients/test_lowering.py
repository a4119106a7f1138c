"""Every program that is jitted for a gradient lowers for CUDA: a process of its own lists them as they are made.

It compiles and runs few of them: what follows a program gets ones of the shapes that it would give, if it takes them.
"""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
import tiny

from alljax import gradients

ROOT = Path(__file__).parents[2]
MODEL = tiny.Tiny()
FUNCTIONS = {'guided': (gradients.guided_backprop, {}), 'cam': (gradients.grad_cam, {'layer': 'body'})}
SCRIPT = """
import functools, sys
import jax
import jax.numpy as jnp
import numpy as np

jit, made, lowered, failed = jax.jit, set(), set(), {}
runs = []  # not empty where programs are compiled and run


def watched(function=None, **options):
    if function is None:
        return functools.partial(watched, **options)
    program, module = jit(function, **options), getattr(function, '__module__', None) or ''
    if not module.startswith('alljax.'):
        return program
    name = f'{module}.{function.__qualname__}'
    made.add(name)

    def call(*arguments, **keywords):
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((arguments, keywords))):
            return program(*arguments, **keywords)
        traced = program.trace(*arguments, **keywords)
        if name not in lowered | set(failed):
            try:
                traced.lower(lowering_platforms=('cuda',))
                lowered.add(name)
            except Exception as error:
                failed[name] = repr(error)[:500]
        keys = any(jnp.issubdtype(leaf.dtype, jax.dtypes.extended) for leaf in jax.tree.leaves(traced.out_info))
        if runs or keys:
            return program(*arguments, **keywords)
        return jax.tree.map(lambda leaf: jnp.asarray(np.ones(leaf.shape, leaf.dtype)), traced.out_info)

    functools.update_wrapper(call, function)
    call.lower, call.trace, call.eval_shape = program.lower, program.trace, program.eval_shape
    return call


jax.jit = watched
sys.path[:0] = ['tests', 'tests/gradients']
import calls
from alljax import gradients
from alljax.storage import cache

cache.keep_compiled_programs()


def ask(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except Exception:  # ones are refused, as where a fit has to converge
        runs.append(True)
        found = function(*arguments, **options)
        runs.clear()
        return found


for name in calls.CALLS:
    found = ask(calls.call, name)
    if name == 'curvature_operator':
        ask(found, found.like)
    if name == 'jacobian_operator':
        ask(found, found.like), ask(found.transposed, found.outputs)
ask(calls.call, 'per_example_gradients', reduce='norm')
ask(calls.call, 'integrated_gradients', **calls.LAYER, layer='body')
ask(calls.call, 'layer_conductance', rule='difference')
posterior = ask(calls.call, 'laplace_approximation', structure='full')
ask(calls.call, 'laplace_predict', posterior=posterior, rule='sampled', key=calls.KEY)
_, memory = ask(calls.call, 'watch')
ask(calls.call, 'watch', memory=memory)
print(failed, made - lowered - set(failed))
sys.exit(bool(failed or made - lowered) or len(lowered) < 80)
"""


@pytest.mark.parametrize('name', FUNCTIONS)
def test_it_lowers_for_cuda_within_jit(name):
    function, options = FUNCTIONS[name]

    @jax.jit
    def run(variables, x):
        return function(MODEL.apply, variables, x, 0, **options)

    lowered = run.trace(tiny.variables(MODEL), tiny.images(2)).lower(lowering_platforms=('cuda',))
    assert 'stablehlo.convolution' in lowered.as_text()


@pytest.mark.slow
def test_every_program_lowers_for_cuda():
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
