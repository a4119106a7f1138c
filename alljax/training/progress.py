"""Training so far, in memory and as a checkpoint."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool

from alljax.errors import UserError
from alljax.models import Variables
from alljax.models.trees import flatten, unflatten
from alljax.storage.checkpoints import Checkpoints
from alljax.training import devices
from alljax.training.step import State

# of JSON: what the caller keeps beside a checkpoint, and the step, seconds and best epoch that `save` adds
Facts = dict[str, Any]


class Best(NamedTuple):
    """The variables with the lowest validation loss so far, and the epoch after which they were."""

    variables: Variables
    loss: float
    epoch: int


class Progress(NamedTuple):
    """Training from its start to here, or to a checkpoint."""

    state: State
    best: Best | None
    seconds: float  # of training so far, over all processes


def save(checkpoints: Checkpoints, progress: Progress, facts: Facts) -> None:
    """Starts to save; refuses a state that is not finite, so that the last checkpoint is always a good one."""
    step = int(progress.state.step)
    if not bool(_all_finite(progress.state.variables)):
        raise not_finite(step)
    leaves = jax.tree.leaves(progress.state.optimizer)
    tree: dict[str, Any] = {
        'variables': progress.state.variables,
        'optimizer': {f'{n:04}': leaf for n, leaf in enumerate(leaves)},
    }
    if progress.state.average is not None:
        tree['average'] = unflatten(progress.state.average)
    if progress.state.group_weights is not None:
        tree['group_weights'] = progress.state.group_weights
    position = {'step': step, 'seconds': progress.seconds, **facts}
    if progress.best:
        tree['best'] = progress.best.variables
        position |= {'best_loss': progress.best.loss, 'best_epoch': progress.best.epoch}
    checkpoints.save(step, tree, position)


def restore(tree: dict[str, Any], position: Facts, start: State) -> Progress:
    """The progress that `save` saved; `start` is the state before the first step."""
    device = jax.device_put(tree)
    leaves = [leaf for _, leaf in sorted(device['optimizer'].items())]
    optimizer = jax.tree.unflatten(jax.tree.structure(start.optimizer), leaves)
    average = flatten(device['average']) if 'average' in tree else None
    step = jnp.asarray(position['step'], jnp.int32)
    state = State(device['variables'], optimizer, step, average, device.get('group_weights'))
    best = Best(device['best'], position['best_loss'], position['best_epoch']) if 'best' in tree else None
    return Progress(state, best, position['seconds'])


def placed(progress: Progress, among: Mesh | None) -> Progress:
    """The progress with a copy of its arrays on each device of a mesh."""
    best = progress.best and progress.best._replace(variables=devices.on_each(progress.best.variables, among))
    return progress._replace(state=devices.on_each(progress.state, among), best=best)


def not_finite(step: int) -> UserError:
    """The error of training that has diverged."""
    return UserError(
        f'the loss is no longer a finite number at step {step}; lower the rate (--config.optimizer.rate) or limit the '
        'gradient (--config.optimizer.clip=1.0) in a new --workdir; the last good checkpoint is kept in this one'
    )


@jax.jit
def _all_finite(tree: Variables) -> Bool[Array, '']:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()
