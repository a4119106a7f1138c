"""The picture that a channel of a layer answers most to."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from alljax.gradients.argument_checks import check_counts
from alljax.gradients.intermediates import eval_layer_shape, resolve_layer, with_layer
from alljax.gradients.network_checks import as_apply
from alljax.gradients.parameter_checks import check_params
from alljax.gradients.typing import Apply, Network, Params

RATE = 0.05
SHIFT = 8  # pixels at most, either way, before each step


class Goal(NamedTuple):
    """The layer to excite, and how the network expects its images to be normalized."""

    layer: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class State(NamedTuple):
    """The picture's frequencies, real and imaginary part, and the optimizer's memory."""

    frequencies: Float[Array, '2 rows columns 3']
    optimizer: optax.OptState


def visualize_channel(
    apply: Network,
    params: Params,
    *,
    layer: str | None = None,
    channel: int,
    key: Key[Array, ''],
    steps: int = 256,
    size: int = 0,
) -> Float[Array, 'height width 3']:
    """A picture in RGB of 0 to 1 that raises the channel's mean at the layer (Olah et al. 2017, Distill).

    Adam climbs from noise, on the picture's frequencies weighted like those of photographs, and shifts the picture at
    random before each step, so that no high frequency can please one position alone. `size` is in pixels, by default
    that of `apply.input`, if it is a model that has one, as are the mean and deviation that normalize the picture. The
    layer is named as in `layer_output`. The picture is an image, whatever the rank of the layer; of tokens the mean is
    over all. Can be jitted, though its steps are a long program. ValueError for a layer or channel that does not exist,
    or without a size.

    >>> gradients.visualize_channel(model, variables, layer='stem', channel=0, key=key, steps=1, size=8).shape
    (8, 8, 3)
    """
    form = getattr(apply, 'input', None)
    size = size or getattr(form, 'size', 0)
    if not size:
        raise ValueError(
            'visualize_channel: size is 0 and the model does not say what it expects; give the side of its input in '
            'pixels'
        )
    check_params('visualize_channel', params)
    check_counts('visualize_channel', steps=steps, size=size)
    mean, deviation = getattr(form, 'mean', 0.0), getattr(form, 'deviation', 1.0)
    function = as_apply(apply)
    layer = resolve_layer('visualize_channel', function, layer)
    channels = eval_layer_shape(function, params, jnp.zeros((1, size, size, 3)), layer).shape[-1]
    if not 0 <= channel < channels:
        raise ValueError(f'channel is {channel}: layer {layer!r} has {channels}, from 0')
    start, shifts = jax.random.split(key)
    frequencies = jax.random.normal(start, (2, size, size // 2 + 1, 3)) * 0.01
    state = State(frequencies, optax.adam(RATE).init(frequencies))
    goal = Goal(layer, tuple(np.ravel(mean)), tuple(np.ravel(deviation)))
    for step in range(steps):
        state = _climb(function, params, state, jax.random.fold_in(shifts, step), channel, goal)
    return _picture(state.frequencies)


@partial(jax.jit, static_argnames=('apply', 'goal'), donate_argnames='state')
def _climb(
    apply: Apply, params: Params, state: State, key: Key[Array, ''], channel: int | Int[Array, ''], goal: Goal
) -> State:
    def loss(frequencies: Array) -> Array:
        shift = jax.random.randint(key, (2,), -SHIFT, SHIFT + 1)
        picture = jnp.roll(_picture(frequencies), shift, (0, 1))
        x = (picture - jnp.asarray(goal.mean)) / jnp.asarray(goal.deviation)
        output = with_layer(apply, goal.layer)(params, x[None]).layer
        return -output[..., channel].mean()

    update, optimizer = optax.adam(RATE).update(jax.grad(loss)(state.frequencies), state.optimizer)
    return State(state.frequencies + update, optimizer)


def _picture(frequencies: Float[Array, '2 rows columns 3']) -> Float[Array, 'rows size 3']:
    """RGB of 0 to 1 from frequencies, each divided by itself as in photographs."""
    size = frequencies.shape[1]
    frequency = jnp.hypot(jnp.fft.fftfreq(size)[:, None], jnp.fft.rfftfreq(size))
    spectrum = (frequencies[0] + 1j * frequencies[1]) / jnp.maximum(frequency, 1 / size)[..., None]
    return jax.nn.sigmoid(jnp.fft.irfft2(spectrum * size, (size, size), (0, 1)))
