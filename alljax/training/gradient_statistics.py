"""The gradients of one training step, layer by layer: how long, how noisy, how far the classes disagree."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from alljax.gradients.example_statistics import ALL, Similarity, from_products, from_sums, update_ratio
from alljax.gradients.factored_gradients import Factor, inner_products
from alljax.gradients.named_parameters import by_layer

Numbers = dict[str, Array]  # 'gradient_norm/conv1' → a number


def lengths(gradient: Mapping[str, Array], params: Mapping[str, Array], updates: Mapping[str, Array]) -> Numbers:
    """The gradient's norm and the update's norm over that of the parameters, for each layer; the norm of all, too."""
    squares = {name: jnp.sum(leaf**2) for name, leaf in gradient.items()}
    groups = {ALL: list(squares)} | by_layer(squares)
    found = {
        f'gradient_norm/{layer}': jnp.sqrt(sum(squares[name] for name in names)) for layer, names in groups.items()
    }
    ratios = update_ratio(dict(params), dict(updates))
    return found | {f'update_ratio/{layer}': ratio for layer, ratio in ratios.items()}


def spread(
    factors: Mapping[str, Factor], label: Int[Array, ' batch'], present: Bool[Array, ' batch'], classes: int
) -> Numbers:
    """The noise scale in cells, and the angles between the gradients of classes, for each layer and for all.

    `factors` hold the gradients of single examples in short, as their parts of the batch's mean: with batch statistics,
    too, where an example has no gradient of its own. The conflict is the mean of −cosine, where it is negative, and the
    cosine that of the cosine, over the pairs of classes in the batch; not a number for a batch of one class.
    """
    grams = {name: inner_products(factor, factor) for name, factor in factors.items()}
    groups = {ALL: list(grams)} | by_layer(grams) if grams else {}
    members = (label[:, None] == jnp.arange(classes)) & present[:, None]
    found: Numbers = {}
    for layer, names in groups.items():
        gram = jnp.stack([grams[name] for name in names]).sum(0)
        found[f'noise_scale/{layer}'] = from_sums(present.sum(), jnp.trace(gram), gram.sum()).noise_scale
        angles, pairs = _between_classes(gram, members.astype(gram.dtype))
        found[f'class_conflict/{layer}'] = angles.conflict.sum() / pairs
        found[f'class_cosine/{layer}'] = (angles.cosine.sum() - jnp.trace(angles.cosine)) / pairs
    return found


def _between_classes(
    gram: Float[Array, 'batch batch'], members: Float[Array, 'batch classes']
) -> tuple[Similarity, Float[Array, '']]:
    """The angles between the gradients of classes, and how many pairs of classes the batch has, in both orders."""
    count = jnp.sum(members.any(0))
    return from_products(members.T @ gram @ members), (count * (count - 1)).astype(gram.dtype)
