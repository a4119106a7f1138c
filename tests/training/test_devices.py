"""A batch divided among devices gives the losses, the state and the gradient statistics of one device.

Devices cannot be added to a process that has started, so another one makes all checks.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import numpy as np
import pytest
from helpers import free_port

SETUP = """
import sys
import flax.linen as nn, jax, jax.numpy as jnp, numpy as np, optax
from alljax.data import augment
from alljax.models import Input, Model
from alljax.models.trees import flatten
from alljax.training import devices, inference
from alljax.training.monitored_step import make_monitored_step
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step


class Small(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(4, (3, 3), 2, name='conv')(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.5, name='norm')(x)).mean((1, 2))
        return nn.Dense(3, name='head')(nn.Dropout(0.5, deterministic=not train)(x))


module = Small()
model = Model('small', lambda key: module.init(key, jnp.zeros((1, 16, 16, 3))), module.apply, Input(16))
variables = model.init(jax.random.key(0))
names = list(flatten(variables['params']))
rng = np.random.default_rng(0)
images, labels = rng.integers(0, 256, (16, 16, 16, 3), np.uint8), np.arange(16, dtype=np.int32) % 3


def prepare(images, key):
    angle, sign = augment.draw(key, images.shape[0], degrees=180.0, mirror=True)
    return augment.warp(images, angle, sign, 16) / 255

"""
SCRIPT = """
def trained(count, size, make):
    mesh = devices.mesh(count)
    setup = TrainingSetup(model, optax.sgd(0.1, momentum=0.9), prepare, names, jnp.ones(3), 0, mesh=mesh)
    step = make(setup)
    state = devices.on_each(initial_state(setup, jax.tree.map(jnp.copy, variables)), mesh)
    cells = devices.on_each((jnp.asarray(images), jnp.asarray(labels)), mesh)
    found = []
    for start in (0, 8):
        index = np.arange(start, start + size, dtype=np.int32)
        index[-1] = -1 if start else index[-1]  # the last batch is smaller
        state, metrics = step(state, Batch(*cells, jnp.asarray(index)))
        found.append((metrics.loss, metrics.gradient_statistics))
    assert mesh is None or all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))
    return found, state.variables


count = int(sys.argv[1])
for size, make in ((8, make_step), (7, make_step), (8, make_monitored_step)):
    one, found = trained(1, size, make), trained(count, size, make)
    for a, b in zip(jax.tree.leaves(found[1]), jax.tree.leaves(one[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=f'{size} cells, {count} devices')
    for (a, seen), (b, expected) in zip(found[0], one[0]):
        np.testing.assert_allclose(a, b, rtol=1e-5)
        for name, value in expected.items():  # a scale of noise is a quotient of small differences
            np.testing.assert_allclose(seen[name], value, rtol=5e-3, atol=1e-5, err_msg=name)
alone = jax.jit(lambda variables, images: model.apply(variables, inference.prepared(images, model.input)))
together = inference.make_logits(model)
assert together(variables, images).sharding.num_devices == count
np.testing.assert_allclose(inference.run(together, variables, images, np.arange(16), 7),
                           inference.run(alone, variables, images, np.arange(16), 7), rtol=1e-5, atol=1e-6)
"""


JOINED = """
import sys
from contextlib import nullcontext
from alljax.storage.joining import Team, joined

port, place = sys.argv[1:]
with nullcontext() if place == 'alone' else joined(Team(f'127.0.0.1:{port}', 2, int(place), seconds=60)):
"""
PROCESSES = """
import json
from alljax.training.batch_sources import DeviceCells
from alljax.training.step import make_epoch

chosen = np.array([[0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13], [14, 15, -1, -1, -1, -1, -1]], np.int32)


def trained():
    mesh = devices.mesh_of_all()
    setup = TrainingSetup(model, optax.sgd(0.1, momentum=0.9), prepare, names, jnp.ones(3), 0, mesh=mesh)
    state = devices.on_each(initial_state(setup, jax.tree.map(jnp.copy, devices.of_first(variables))), mesh)
    cells = DeviceCells(*devices.on_each((jnp.asarray(images), jnp.asarray(labels)), mesh))
    again, losses = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))(state), []
    step = make_step(setup)
    for batch in cells.batches(chosen):
        state, metrics = step(state, batch)
        losses.append(float(metrics.loss))
    after, metrics = make_epoch(setup)(again, cells.batch(chosen))
    np.testing.assert_allclose(np.ravel(jax.device_get(metrics.loss)), losses, rtol=1e-5)
    own, logits = devices.of_this_process(after.variables), inference.make_logits(model)
    logits = devices.shared(lambda index: inference.run(logits, own, images, index, 4), np.arange(15))
    return json.dumps([losses, [leaf.tolist() for leaf in jax.tree.leaves(own)], logits.tolist()])


assert place == 'alone' or (jax.device_count(), devices.mesh().size) == (4, 2)
print(trained())
"""


@pytest.mark.parametrize('count', ['2', pytest.param('8', marks=pytest.mark.slow)])
def test_devices_give_what_one_gives(count):
    flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={count}'
    environment = {**os.environ, 'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
    done = subprocess.run(
        [sys.executable, '-c', SETUP + SCRIPT, count], cwd=Path(__file__).parents[2], env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_processes_of_two_devices_give_what_one_device_gives():
    def started(place, devices):
        flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={devices}'
        script = JOINED + indent(SETUP + PROCESSES, '    ')
        return subprocess.Popen(
            [sys.executable, '-c', script, str(port), place], cwd=Path(__file__).parents[2], text=True,
            env={**os.environ, 'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip

    port = free_port()
    said = [one.communicate() for one in [started('0', 2), started('1', 2), started('alone', 1)]]
    first, second, alone = (out.splitlines()[-1] if out else pytest.fail(errors[-3000:]) for out, errors in said)
    assert first == second
    for found, expected in zip(json.loads(first), json.loads(alone), strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
