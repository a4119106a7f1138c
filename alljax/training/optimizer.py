"""From gradients to updates, with a factor on the learning rate for each named parameter."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float32


class OptimizerOptions(NamedTuple):
    """An optimizer and its learning rate over time."""

    name: Literal['sgd', 'adamw'] = 'sgd'  # with momentum [MATLAB]
    rate: float = 1e-4  # learning rate, before the factors [MATLAB's AlexNet example]
    momentum: float = 0.9  # of sgd [MATLAB]; of adamw, the decay of the first moment
    l2: float = 1e-4  # on kernels, not biases [MATLAB]; adamw's is decoupled from the gradient
    schedule: Literal['constant', 'cosine'] = 'constant'  # [MATLAB], or to zero over all epochs
    warmup: float = 0.0  # epochs over which the rate rises linearly from zero
    clip: float = 0.0  # largest global norm of the gradient; 0 for no limit


def learning_rate(options: OptimizerOptions, steps: int, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate of step 0, 1, …, `steps`, before the factors."""
    warmup = min(round(options.warmup * steps_per_epoch), steps)
    if options.schedule == 'cosine':
        after = optax.cosine_decay_schedule(options.rate, max(1, steps - warmup))
    else:
        after = optax.constant_schedule(options.rate)
    rise = optax.linear_schedule(options.rate / (warmup + 1), options.rate, warmup)
    return optax.join_schedules([rise, after], [warmup]) if warmup else after


def rates(options: OptimizerOptions, steps: int, steps_per_epoch: int) -> Float32[np.ndarray, ' steps']:
    """The learning rate of each step, before the factors."""
    rate = learning_rate(options, steps, steps_per_epoch)
    return np.asarray(jax.vmap(lambda step: jnp.float32(rate(step)))(jnp.arange(steps)))


def make(
    options: OptimizerOptions, factors: Mapping[str, float], steps: int, steps_per_epoch: int
) -> optax.GradientTransformation:
    """The optimizer over the flat dictionary of trained parameters, with each one's factor on the learning rate."""
    return with_rates(options, factors, learning_rate(options, steps, steps_per_epoch))


def with_rates(
    options: OptimizerOptions, factors: Mapping[str, float], rate: optax.Schedule
) -> optax.GradientTransformation:
    """The same optimizer with a learning rate over time that is given, before the factors."""
    parts = {str(factor): _one(options, rate, factor) for factor in factors.values()}
    labels = {name: str(factor) for name, factor in factors.items()}
    clip = optax.clip_by_global_norm(options.clip) if options.clip else optax.identity()
    return optax.chain(clip, optax.multi_transform(parts, labels))


def _one(options: OptimizerOptions, rate: optax.Schedule, factor: float) -> optax.GradientTransformation:
    def scaled(step: optax.ScalarOrSchedule) -> optax.ScalarOrSchedule:
        return factor * rate(step)

    if options.name == 'adamw':
        return optax.adamw(scaled, b1=options.momentum, weight_decay=options.l2, mask=_kernels)
    return optax.chain(optax.add_decayed_weights(options.l2, _kernels), optax.sgd(scaled, options.momentum))


def _kernels(flat: Mapping[str, object]) -> dict[str, bool]:
    """MATLAB's L2 leaves biases alone."""
    return {name: name.endswith('kernel') for name in flat}
