"""Networks small enough to compile in a moment, and images for them."""

from collections.abc import Callable
from contextlib import contextmanager

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
from flax import nnx

TARGET = np.array([0, 1, 2, 1, 0])


class Tiny(nn.Module):
    """Two convolutions and a dense layer; the names' order is not the order of use."""

    act: Callable = nn.relu
    norm: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(4, (3, 3), name='stem')(x)
        if self.norm:
            x = nn.BatchNorm(use_running_average=not train, name='norm')(x)
        x = self.act(x)
        x = self.act(nn.Conv(4, (3, 3), (2, 2), name='body')(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(3, name='head')(x)


class Transformer(nn.Module):
    """Sixteen patches and a class token, layers of two heads, logits from the class token."""

    layers: int = 1

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (2, 2), (2, 2), name='patches')(x).reshape(len(x), -1, 4)
        token = self.param('token', nn.initializers.normal(1.0), (1, 1, 4))
        x = jnp.concatenate([jnp.broadcast_to(token, (len(x), 1, 4)), x], 1)
        for layer in range(self.layers):
            x = x + nn.MultiHeadDotProductAttention(2, name=f'attention{layer}')(nn.LayerNorm(name=f'norm{layer}')(x))
        return nn.Dense(3, name='head')(x[:, 0])


class Nnx(nnx.Module):
    """A convolution and a dense layer, in flax's other library; normalized between them if asked to."""

    def __init__(self, rngs, norm=False):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs) if norm else lambda x: x
        self.head = nnx.Linear(256, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x)))
        return self.head(x.reshape(len(x), -1))


def images(count=5, seed=0, size=8):
    return np.random.default_rng(seed).normal(size=(count, size, size, 3)).astype(np.float32)


def variables(model, seed=0, size=8):
    """Random parameters, biases too."""
    drawn = jax.jit(model.init)(jax.random.key(seed), images(1, size=size))
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: leaf if leaf.ndim > 1 else leaf + rng.uniform(0, 0.2, leaf.shape).astype(leaf.dtype), drawn
    )


def of_nnx(module):
    """An NNX module as a function and its parameters."""
    graph, state = nnx.split(module)

    def apply(state, x):
        return nnx.merge(graph, state)(x)

    return apply, state


def linear(weights, x):
    """Logits that are sums of weighted pixels; weights [height, width, channels, classes]."""
    return x.reshape(len(x), -1) @ weights.reshape(-1, weights.shape[-1])


def weights(seed=1):
    return np.random.default_rng(seed).normal(size=(8, 8, 3, 3)).astype(np.float32)


@contextmanager
def unchecked():
    """Annotations are not checked, as in use: a wrong argument meets the function's own errors."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update('jaxtyping_disable', True)
    try:
        yield
    finally:
        jaxtyping.config.update('jaxtyping_disable', before)
