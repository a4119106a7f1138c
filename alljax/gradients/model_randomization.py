"""Whether an attribution depends on what the network has learned: layers are drawn anew, from the last to the first."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from alljax.gradients.named_parameters import named, renamed
from alljax.gradients.network_checks import Apply, Images, Params, Target


def randomization(
    method: Callable[..., Any], network: Any, params: Params, x: Images, target: Target, *, key: Key[Array, ''],
    layers: Sequence[str] | None = None, **options: Any,
) -> dict[str, Float[Array, ' batch']]:  # fmt: skip
    """The rank correlation of each image's attribution with what it was, after the layers down to each are drawn anew.

    Adebayo et al. 2018 (arXiv:1810.03292), cascading: near 0 for a method that shows what the network has learned,
    near 1 for one that only shows edges. Spearman's, of absolute values summed over channels. A layer is a prefix of
    parameter names; by default all of them, by the order in which the network uses them. Its values are drawn with the
    mean and deviation that each of its leaves has. `options` go to the method.
    """
    apply = getattr(network, 'apply', network)
    leaves = named(params)
    layers = list(layers) if layers is not None else in_order(apply, params, x)[::-1]
    missing = [layer for layer in layers if not any(_within(name, layer) for name in leaves)]
    if missing:
        raise ValueError(f'no parameter belongs to {", ".join(missing)}; the layers are {", ".join(_layers(leaves))}')
    first, found = _ranks(method(network, params, x, target, **options)), {}
    for number, layer in enumerate(layers):
        for position, name in enumerate(sorted(name for name in leaves if _within(name, layer))):
            own = jax.random.fold_in(jax.random.fold_in(key, number), position)
            leaf = leaves[name]
            leaves[name] = leaf.mean() + leaf.std() * jax.random.normal(own, leaf.shape, leaf.dtype)
        found[layer] = _correlation(first, _ranks(method(network, renamed(params, leaves), x, target, **options)))
    return found


def in_order(apply: Apply, params: Params, x: Images) -> list[str]:
    """The layers with parameters, by the order in which the network uses them first."""
    names = list(named(params))
    program = jax.make_jaxpr(apply)(params, x).jaxpr
    place = dict(zip(program.invars, names, strict=False))
    used = [place[atom] for step in program.eqns for atom in step.invars if not hasattr(atom, 'val') and atom in place]
    return _layers(used)


def _layers(names: Any) -> list[str]:
    # 'batch_stats' are no weights: only what lies in 'params' is drawn anew, where there is such a part
    names = list(names)
    kept = [name for name in names if name.startswith('params/')] or names
    return list(dict.fromkeys(name.rpartition('/')[0] for name in kept))


def _within(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f'{layer}/')


def _ranks(found: Any) -> Float[Array, 'batch pixels']:
    marks = found[0] if isinstance(found, tuple) else found
    marks = jnp.abs(marks).sum(3) if marks.ndim == 4 else jnp.abs(marks)
    flat = marks.reshape(len(marks), -1)
    return jnp.argsort(jnp.argsort(flat, axis=1), axis=1).astype(flat.dtype)


def _correlation(one: Array, other: Array) -> Float[Array, ' batch']:
    one, other = (ranks - ranks.mean(1, keepdims=True) for ranks in (one, other))
    return (one * other).sum(1) / (jnp.linalg.norm(one, axis=1) * jnp.linalg.norm(other, axis=1))
