"""Gradient to update, at a rate of its own for each named part of the network."""

from collections.abc import Mapping
from typing import Any

import optax
from ml_collections import ConfigDict


def schedule(config: ConfigDict, steps: int, epoch: int) -> optax.Schedule:
    """The learning rate of step 0, 1, …, `steps`, before the factors; `epoch` is the number of steps in one."""
    warmup = min(round(config.warmup * epoch), steps)
    if config.schedule == 'cosine':
        after = optax.cosine_decay_schedule(config.rate, max(1, steps - warmup))
    else:
        after = optax.constant_schedule(config.rate)
    rise = optax.linear_schedule(config.rate / (warmup + 1), config.rate, warmup)
    return optax.join_schedules([rise, after], [warmup]) if warmup else after


def make(config: ConfigDict, factors: Mapping[str, float], steps: int, epoch: int) -> optax.GradientTransformation:
    """The optimizer over the flat dictionary of trained parameters, with each one's factor on the rate."""
    rate = schedule(config, steps, epoch)
    parts = {str(factor): _one(config, rate, factor) for factor in factors.values()}
    labels = {name: str(factor) for name, factor in factors.items()}
    clip = optax.clip_by_global_norm(config.clip) if config.clip else optax.identity()
    return optax.chain(clip, optax.multi_transform(parts, labels))


def _one(config: ConfigDict, rate: optax.Schedule, factor: float) -> optax.GradientTransformation:
    def scaled(step: Any) -> Any:
        return factor * rate(step)

    if config.name == 'adamw':
        return optax.adamw(scaled, b1=config.momentum, weight_decay=config.l2, mask=_kernels)
    return optax.chain(optax.add_decayed_weights(config.l2, _kernels), optax.sgd(scaled, config.momentum))


def _kernels(flat: Mapping[str, object]) -> dict[str, bool]:
    """MATLAB's L2 leaves biases alone."""
    return {name: name.endswith('kernel') for name in flat}
