"""The training of the U-Net: cross-entropy and soft Dice, one program a step, its key from the seed and the step."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, UInt8

from alljax.baselines.segment.unet import DARKEST
from alljax.data import augment
from alljax.storage import progress_bar
from alljax.training.segmentation.network import WIDTHS, Unet
from alljax.training.segmentation.pictures import Pictures

BATCH = 16
RATE = 4e-3  # the highest, of one cycle
DECAY = 1e-4
MIXED, GAIN, OFFSET, NOISE = 0.06, 0.12, 0.03, 0.04  # standard deviations, of optical densities; NOISE is the largest
AVERAGE = 0.99  # of a step's running average of the parameters


class Batch(NamedTuple):
    """Pictures on the device, as `Pictures` has them."""

    images: UInt8[Array, 'cells side side 3']
    light: Float[Array, 'cells 3']
    masks: UInt8[Array, 'cells side side 3']


class State(NamedTuple):
    """All that a step changes."""

    variables: Any
    optimizer: optax.OptState
    average: Any  # of the variables
    step: Int[Array, '']


def fit(pictures: Pictures, steps: int, seed: int, widths: tuple[int, ...] = WIDTHS) -> Any:
    """The variables of a U-Net after so many steps, averaged over the last hundred or so."""
    network = Unet(widths)
    optimizer = optax.adamw(optax.cosine_onecycle_schedule(steps, RATE, 0.15), weight_decay=DECAY)
    start = jax.random.key(seed)
    side = pictures.images.shape[1]
    variables = jax.jit(network.init)(start, jnp.zeros((1, side, side, 3)))
    average = jax.tree.map(jnp.copy, variables)  # each buffer is given away once
    state = State(variables, optimizer.init(variables['params']), average, jnp.zeros((), int))
    step = make_step(network, optimizer, seed)
    held = Batch(*map(jnp.asarray, pictures))
    order = np.random.default_rng([seed, 2])
    waiting = np.zeros(0, int)
    with progress_bar.shown('training', steps, ' steps') as bar:
        for _ in range(steps):
            while len(waiting) < BATCH:
                waiting = np.concatenate([waiting, order.permutation(len(pictures.images))])
            index, waiting = waiting[:BATCH], waiting[BATCH:]
            state = step(state, held, jnp.asarray(index))
            jax.block_until_ready(state.step)
            bar.update(1)
    return jax.tree.map(np.asarray, state.average)


def make_step(
    network: Unet, optimizer: optax.GradientTransformation, seed: int
) -> Callable[[State, Batch, Int[Array, ' cells']], State]:
    """The jitted step: of the state, all pictures, and the numbers of those that it learns from."""

    def loss(params: Any, rest: Any, x: Array, truth: Array) -> tuple[Array, Any]:
        logits, rest = network.apply({'params': params, **rest}, x, train=True, mutable=list(rest))
        return loss_of(logits, truth), rest

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: State, pictures: Batch, index: Int[Array, ' cells']) -> State:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        x, truth = changed(Batch(*(part[index] for part in pictures)), key)
        rest = {name: value for name, value in state.variables.items() if name != 'params'}
        params = state.variables['params']
        gradient, rest = jax.grad(loss, has_aux=True)(params, rest, x, truth)
        updates, inner = optimizer.update(gradient, state.optimizer, params)
        variables = {'params': optax.apply_updates(params, updates), **rest}
        # at the start the average is of few steps, and forgets as fast
        kept = jnp.minimum(AVERAGE, (1 + state.step) / (10 + state.step))
        average = jax.tree.map(lambda old, new: kept * old + (1 - kept) * new, state.average, variables)
        return State(variables, inner, average, state.step + 1)

    return step


def changed(
    pictures: Batch, key: Key[Array, '']
) -> tuple[Float[Array, 'cells side side 3'], Float[Array, 'cells side side 3']]:
    """The optical densities of pictures, turned, mirrored and in another stain and light; and their masks, 0 to 1."""
    turn, mix, gain, offset, noise, amount = jax.random.split(key, 6)
    count, side = pictures.images.shape[:2]
    angle, sign = augment.draw(turn, count, degrees=180.0, mirror=True)
    pixels = augment.warp(pictures.images, angle, sign, side)
    truth = augment.warp(pictures.masks, angle, sign, side) / 255
    densities = jnp.log(pictures.light[:, None, None] / jnp.maximum(pixels, DARKEST))
    matrix = jnp.eye(3) + MIXED * jax.random.normal(mix, (count, 3, 3))
    matrix *= jnp.exp(GAIN * jax.random.normal(gain, (count, 1, 3)))
    densities = jnp.einsum('cyxi,cij->cyxj', densities, matrix, precision='highest')
    densities += OFFSET * jax.random.normal(offset, (count, 1, 1, 3))
    strength = NOISE * jax.random.uniform(amount, (count, 1, 1, 1))
    return densities + strength * jax.random.normal(noise, densities.shape), truth


def loss_of(logits: Float[Array, 'cells side side 3'], truth: Float[Array, 'cells side side 3']) -> Float[Array, '']:
    """Cross-entropy a pixel, and one less the soft Dice of cytoplasm and nucleus a cell."""
    entropy: Array = optax.softmax_cross_entropy(logits, truth).mean()
    shares = jax.nn.softmax(logits)[..., 1:]
    both = (shares * truth[..., 1:]).sum((1, 2))
    total = shares.sum((1, 2)) + truth[..., 1:].sum((1, 2))
    unlike: Array = (1 - (2 * both + 1) / (total + 1)).mean()
    return entropy + 0.5 * unlike
