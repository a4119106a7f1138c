"""What a channel of a layer looks for: the picture that it answers most to."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from alljax.gradients import intermediates
from alljax.gradients.network_checks import Params

RATE = 0.05
SHIFT = 8  # pixels at most, either way, before each step


def visualize(
    model: Any, variables: Params, *, layer: str, channel: int, key: Key[Array, ''], steps: int = 256, size: int = 0,
) -> Float[Array, 'height width 3']:  # fmt: skip
    """A picture in RGB of 0 to 1 that raises the channel's mean at the layer (Olah et al. 2017, Distill).

    Adam climbs from noise, on the picture's frequencies weighed like those of photographs, and shifts the picture by
    chance before each step, so that no high frequency can please one position alone. `size` is in pixels, by default
    the model's own input; the model's mean and deviation, if it has them, normalize the picture. `layer` is as in
    `intermediates.at`. ValueError for a layer or channel that there is not.
    """
    form = getattr(model, 'input', None)
    size = size or getattr(form, 'size', 0)
    if not size:
        raise ValueError('size is 0 and the model does not say what it expects; give the side of its input in pixels')
    mean, deviation = getattr(form, 'mean', 0.0), getattr(form, 'deviation', 1.0)
    blank = jnp.zeros((1, size, size, 3))
    channels = intermediates.shape(model, variables, blank, layer)[-1]
    if not 0 <= channel < channels:
        raise ValueError(f'channel is {channel}: layer {layer!r} has {channels}, from 0')
    start, way = jax.random.split(key)
    state = jax.random.normal(start, (2, size, size // 2 + 1, 3)) * 0.01
    adam = optax.adam(RATE)
    moments = adam.init(state)
    apply = getattr(model, 'apply', model)
    for step in range(steps):
        state, moments = _climb(
            apply, variables, state, moments, jax.random.fold_in(way, step), channel, layer, tuple(np.ravel(mean)),
            tuple(np.ravel(deviation)),
        )  # fmt: skip
    return _picture(state)


@partial(jax.jit, static_argnums=(0, 6, 7, 8), donate_argnums=(2, 3))
def _climb(
    apply: Any, variables: Params, state: Array, moments: Any, key: Key[Array, ''], channel: Array, layer: str,
    mean: tuple[float, ...], deviation: tuple[float, ...],
) -> tuple[Array, Any]:  # fmt: skip
    def loss(state: Array) -> Array:
        shift = jax.random.randint(key, (2,), -SHIFT, SHIFT + 1)
        picture = jnp.roll(_picture(state), shift, (0, 1))
        x = (picture - jnp.asarray(mean)) / jnp.asarray(deviation)
        _, output = intermediates.at(apply, layer)(variables, x[None])
        return -output[..., channel].mean()

    update, moments = optax.adam(RATE).update(jax.grad(loss)(state), moments)
    return state + update, moments


def _picture(state: Float[Array, '2 rows columns 3']) -> Float[Array, 'rows size 3']:
    """RGB of 0 to 1 from frequencies, each divided by itself as in photographs."""
    size = state.shape[1]
    frequency = jnp.hypot(jnp.fft.fftfreq(size)[:, None], jnp.fft.rfftfreq(size))
    spectrum = (state[0] + 1j * state[1]) / jnp.maximum(frequency, 1 / size)[..., None]
    return jax.nn.sigmoid(jnp.fft.irfft2(spectrum * size, (size, size), (0, 1)))
