"""Small data and networks for tests, and the marks that several files have."""

import dataclasses
import functools
import importlib.util
import socket
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alljax import config as fields
from alljax import models
from alljax.config import resolve
from alljax.data.cells import Cells, Origin
from alljax.models.trees import flatten, unflatten
from alljax.storage import model_folder
from alljax.storage.card import Card

needs_submitit = pytest.mark.skipif(
    not importlib.util.find_spec('submitit'), reason="submitit is not installed (pip install -e '.[cluster]')"
)


def free_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def make_cells(labels, groups=None, size=64, seed=0, repeats=None):
    """Noise cells with the given labels and groups."""
    labels = np.asarray(labels, np.int32)
    groups = np.arange(len(labels), dtype=np.int32) if groups is None else np.asarray(groups, np.int32)
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (len(labels), size, size, 3), np.uint8)
    images[np.arange(len(labels)), :8, :8, 0] = (labels * 60)[:, None, None]
    return Cells(
        images=images,
        labels=labels,
        groups=groups,
        repeats=np.full(len(labels), -1, np.int32) if repeats is None else np.asarray(repeats, np.int32),
        names=tuple(f'{n:03}.png' for n in range(len(labels))),
        classes=tuple(f'class{n}' for n in range(labels.max() + 1)),
        group_names=tuple(f'group{n}' for n in range(groups.max() + 1)),
        origin=Origin('folder', 'f' * 64, False, '/nowhere'),
    )


def plan_of(config):
    """The plan of a config from random weights, with every field as it stands there."""
    changed = fields.with_fields(config, {'model.init': 'random'} if config.model.init == 'imagenet' else {})
    return resolve.resolve(changed, fields.flat(changed))


def variables_of(init, seed=0):
    """Random variables of the shapes that `init(key)` draws, whose program takes longer to compile than a step."""
    rng = np.random.default_rng(seed)

    def drawn(name, leaf):
        kind = name.rpartition('/')[2]
        if kind in ('scale', 'var'):
            return np.ones(leaf.shape, leaf.dtype)
        if len(leaf.shape) < 2:
            return np.zeros(leaf.shape, leaf.dtype)
        return rng.normal(0, np.prod(leaf.shape[:-1]) ** -0.5, leaf.shape).astype(leaf.dtype)

    shapes = jax.eval_shape(init, jax.random.key(0))
    return jax.tree.map(jnp.asarray, unflatten({name: drawn(name, leaf) for name, leaf in flatten(shapes).items()}))


def traced_once(function):
    """A function that asks linen's `init` or `apply` for shapes alone, and traces each kind of layer once.

    Layers of the same fields and inputs are of one kind, and deep networks have few. Without `jit` no operation of
    jax.numpy is traced once more for itself.
    """

    @functools.wraps(function)
    def traced(*arguments, **options):
        with jax.disable_jit(), nn.intercept_methods(_layer_once):
            return function(*arguments, **options)

    return traced


TRACED = {}  # kind of layer → the shapes of its variables and of its output


def _layer_once(call, arguments, options, context):
    module = context.module
    fields = [getattr(module, field.name) for field in dataclasses.fields(module)
              if field.name not in ('parent', 'name')]  # fmt: skip
    given = jax.tree.map(lambda leaf: jax.typeof(leaf) if isinstance(leaf, jax.Array) else leaf, arguments)
    key = type(module), context.method_name, *fields, given, *options.items()
    if not module.path or not _is_hashable(key):
        return call(*arguments, **options)
    if key not in TRACED:
        output = call(*arguments, **options)
        TRACED[key] = jax.tree.map(jax.typeof, (module.variables, output))
        return output
    variables, output = jax.tree.map(lambda leaf: jax.lax.full(leaf.shape, 0, leaf.dtype), TRACED[key])
    for collection, leaves in variables.items() if module.is_initializing() else ():
        for name, leaf in leaves.items():
            module.put_variable(collection, name, leaf)
    return output


def _is_hashable(key):
    try:
        hash(key)
    except TypeError:
        return False
    return True


def save_untrained_run(folder: Path, size: int) -> Path:
    """A run folder as training leaves it, with the model/ alone: AlexNet of a tenth of the width, at random."""
    options = {'head': 8, 'size': size, 'width': 0.1, 'color': 'HSV'}
    classes = ('L1', 'L2', 'L3', 'normal')
    model = models.create('alexnet', len(classes), **options)
    spec = models.NetworkSpec('alexnet', options)
    card = Card(classes, spec, model.input, data_size=128, denoise='mean', synthetic=True)
    model_folder.write(folder / 'model', variables_of(model.init, 1), card)
    return folder
