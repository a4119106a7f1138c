"""The networks of gradient_rows.py in linen, and their parameters as torch's."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from gradient_rows import CLASSES, SHAPES, examples

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests' / 'parity')]

from alljax import models
from alljax.models.trees import flatten


class Small(nn.Module):
    """Three convolutions and two dense layers: 188,196 parameters."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        for number, channels in enumerate((32, 64, 64), 1):
            x = nn.relu(nn.Conv(channels, (3, 3), strides=2, padding=1, name=f'conv{number}')(x))
        x = x.transpose(0, 3, 1, 2)  # torch flattens channels first
        return nn.Dense(CLASSES, name='logits')(nn.relu(nn.Dense(128, name='hidden')(x.reshape(len(x), -1))))


class Ours(NamedTuple):
    """A linen network, and all that a function of `alljax.gradients` may ask for."""

    model: Any  # with `apply(variables, x)`
    params: Any
    x: np.ndarray
    y: np.ndarray
    apply: Callable[[Any, Any], Any]  # of params alone
    loss: Callable[[Any, Any, Any], Any]

    @property
    def variables(self) -> dict[str, Any]:
        """The parameters as linen takes them."""
        return {'params': self.params}


def ours(name: str, count: int) -> Ours:
    """The network with random biases, and `count` examples."""
    if name == 'small':
        model: Any = Small()
        params = model.init(jax.random.key(0), jnp.zeros((1, *SHAPES[name])))['params']
    else:
        model = models.create('alexnet', CLASSES)
        params = model.init(jax.random.key(0))['params']
        if name == 'head':
            halves = models.cut('alexnet', CLASSES)
            assert halves is not None
            model, params = halves[1], {'head': params['head']}
    params = jax.tree.map(lambda leaf: leaf + 0.01 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), params)

    def apply(params: Any, x: Any) -> Any:
        return model.apply({'params': params}, x)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y)

    return Ours(model, params, *examples(name, count), apply, loss)


def save(name: str, path: str) -> None:
    """Writes the parameters as torch keeps them, for gradient_torch.py, whose process is to be without JAX."""
    import torch
    import torch_alexnet

    params = ours(name, 1).params
    if name == 'alexnet':
        torch.save(torch_alexnet.to_torch(params), path)
        return
    leaves = flatten(params)
    layers = ('conv1', 'conv2', 'conv3', 'hidden', 'logits') if name == 'small' else ('head/hidden', 'head/logits')
    state = {}
    for place, layer in zip((0, 2, 4, 7, 9) if name == 'small' else (0, 2), layers, strict=True):
        kernel = np.asarray(leaves[f'{layer}/kernel'])
        turned = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        state[f'{place}.weight'] = torch.tensor(turned.copy())
        state[f'{place}.bias'] = torch.tensor(np.asarray(leaves[f'{layer}/bias']))
    torch.save(state, path)
