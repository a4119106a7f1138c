"""The randomization test of an attribution method: layers are drawn anew, from the last to the first."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from alljax.gradients.argument_checks import check_method_result
from alljax.gradients.named_parameters import named, with_leaves
from alljax.gradients.network_checks import as_apply, prepare
from alljax.gradients.positions import by_position
from alljax.gradients.typing import Apply, Attribution, Inputs, Method, Network, Params, Target


def parameter_randomization(
    method: Method, apply: Network, params: Params, x: Inputs, target: Target, *, key: Key[Array, ''],
    layers: Sequence[str] | None = None, **options: Any,
) -> dict[str, Float[Array, ' batch']]:  # fmt: skip
    """Layer → the rank correlation of each image's attribution with the original after that layer is drawn anew too.

    Adebayo et al. 2018 (arXiv:1810.03292), cascading: near 0 for a method that shows what the network has learned,
    near 1 for one that only shows edges. Spearman's, of absolute values summed over channels. A layer is a prefix of
    parameter names; by default all of them, from the last that the network uses to the first. Its values are drawn with
    the mean and deviation that each of its leaves has. `options` go to the method. NaN for an
    image whose map is the same everywhere. Inputs are of any rank that the method takes. Can be jitted where the method
    can. ValueError for a layer without parameters.

    >>> found = gradients.parameter_randomization(gradients.saliency, model, variables, x, y, key=key)
    >>> list(found)
    ['params/head', 'params/stem']
    """
    prepare('parameter_randomization', apply, params, x, target, tokens=True)
    leaves = named(params)
    layers = list(layers) if layers is not None else in_order_of_use(as_apply(apply), params, x)[::-1]
    missing = [layer for layer in layers if not any(_within(name, layer) for name in leaves)]
    if missing:
        raise ValueError(f'no parameter belongs to {", ".join(missing)}; the layers are {", ".join(_layers(leaves))}')

    def ranks(params: Params) -> Array:
        found = method(apply, params, x, target, **options)
        return _ranks(check_method_result('parameter_randomization', found, x), x.ndim)

    original, found = ranks(params), {}
    for number, layer in enumerate(layers):
        for position, name in enumerate(sorted(name for name in leaves if _within(name, layer))):
            own = jax.random.fold_in(jax.random.fold_in(key, number), position)
            leaf = leaves[name]
            leaves[name] = leaf.mean() + leaf.std() * jax.random.normal(own, leaf.shape, leaf.dtype)
        found[layer] = _correlation(original, ranks(with_leaves(params, leaves)))
    return found


def in_order_of_use(apply: Apply, params: Params, x: Inputs) -> list[str]:
    """The layers with parameters, in the order in which the network uses them first."""
    names = list(named(params))
    program = jax.make_jaxpr(apply)(params, x).jaxpr
    place = dict(zip(program.invars, names, strict=False))
    used = [place[atom] for step in program.eqns for atom in step.invars if not hasattr(atom, 'val') and atom in place]
    return _layers(used)


def _layers(names: Iterable[str]) -> list[str]:
    # 'batch_stats' are no weights: only what lies in 'params' is drawn anew, where there is such a part
    names = list(names)
    kept = [name for name in names if name.startswith('params/')] or names
    return list(dict.fromkeys(name.rpartition('/')[0] or name for name in kept))


def _within(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f'{layer}/')


def _ranks(attribution: Attribution, axes: int) -> Float[Array, 'batch pixels']:
    """The rank of each pixel by its absolute attribution, channels summed."""
    pixels = by_position(jnp.abs(attribution.map), axes)
    flat = pixels.reshape(len(pixels), -1)
    ranks = jnp.argsort(jnp.argsort(flat, axis=1), axis=1).astype(flat.dtype)
    return jnp.where(jnp.ptp(flat, axis=1, keepdims=True) > 0, ranks, jnp.nan)  # a flat map ranks no pixel


def _correlation(one: Array, other: Array) -> Float[Array, ' batch']:
    one, other = (ranks - ranks.mean(1, keepdims=True) for ranks in (one, other))
    lengths: Array = jnp.linalg.norm(one, axis=1) * jnp.linalg.norm(other, axis=1)
    return jnp.sum(one * other, 1) / lengths
