"""Inputs and parameters on four devices give the numbers of one, and the result lies where the inputs do.

Devices cannot be added to a process that has started, so another one makes all checks.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from alljax import gradients

mesh = Mesh(jax.devices(), ('data',))
rows, whole = (NamedSharding(mesh, spec) for spec in (PartitionSpec('data'), PartitionSpec()))
split = NamedSharding(mesh, PartitionSpec(None, 'data'))
rng = np.random.default_rng(0)
params = {'hidden': rng.normal(size=(6, 8)).astype('f') / 3, 'out': rng.normal(size=(8, 3)).astype('f')}
x, y = rng.normal(size=(16, 3, 2)).astype('f'), np.arange(16) % 3


def apply(params, x):
    return jnp.tanh(x.reshape(len(x), -1) @ params['hidden']) @ params['out']


def loss(params, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(apply(params, x)), y[:, None], 1)[:, 0]


def both(name, ask, *placings):
    one, placings = ask(params, x, y), placings or (whole, split)
    for hidden in placings:
        placed = {'hidden': jax.device_put(params['hidden'], hidden), 'out': jax.device_put(params['out'], whole)}
        found = ask(placed, jax.device_put(x, rows), jax.device_put(y, rows))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5, err_msg=name)
    return found


key = jax.random.key(0)
for size in (None, 6, 8, 2):
    found = both('saliency', lambda p, x, y: gradients.saliency(apply, p, x, y, batch_size=size))
    assert found.map.sharding.is_equivalent_to(rows, 3), (size, found.map.sharding)
    found = both('integrated', lambda p, x, y: gradients.integrated_gradients(apply, p, x, y, steps=8, batch_size=size))
    assert found.map.sharding.is_equivalent_to(rows, 3), (size, found.map.sharding)
seen = []
gradients.batching.rows(lambda x: seen.append(x) or x, 6, jax.device_put(x, rows))
assert [len(batch) for batch in seen] == [4] * 4 and all(batch.sharding.is_equivalent_to(rows, 3) for batch in seen)
for size in (None, 8):
    both('max_sensitivity', lambda p, x, y: gradients.max_sensitivity(
        gradients.saliency, apply, p, x, y, key=key, samples=2, batch_size=size))
both('per example', lambda p, x, y: gradients.per_example_gradients(loss, p, x, y, batch_size=8))
both('occlusion', lambda p, x, y: gradients.occlusion(apply, p, x, y, window=1, stride=1, batch_size=8))
both('deletion', lambda p, x, y: gradients.deletion(apply, p, x, y, jnp.abs(x), steps=3, batch_size=8))
both('statistics', lambda p, x, y: gradients.gradient_statistics(loss, p, x, y, batch_size=8))
both('norms', lambda p, x, y: gradients.per_example_gradients(loss, p, x, y, reduce='norm', batch_size=8))
both('tracin', lambda p, x, y: gradients.tracin(loss, [p], (x, y), (x[:4], y[:4]), [0.1], batch_size=8))
both('eigenvalues', lambda p, x, y: gradients.eigenvalues(
    gradients.curvature_operator(apply, p, x, y, batch_size=8), 1, key=key, iterations=12))
both('within jit', jax.jit(lambda p, x, y: gradients.saliency(apply, p, x, y, batch_size=8).map))
rows, whole = (NamedSharding(jax.make_mesh((4,), ('data',)), spec) for spec in (PartitionSpec('data'), PartitionSpec()))
both('explicit axes', lambda p, x, y: gradients.saliency(apply, p, x, y, batch_size=6).map, whole)
both('explicit axes', lambda p, x, y: gradients.gradient_statistics(loss, p, x, y, batch_size=8)['all'].norm, whole)
print('all the same')
"""


@pytest.mark.slow
def test_four_devices_give_the_numbers_of_one_and_keep_the_sharding():
    flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count=4'
    environment = os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, '-c', SCRIPT], env=environment, cwd=root, capture_output=True, text=True)
    assert done.stdout.endswith('all the same\n'), done.stderr[-3000:]
