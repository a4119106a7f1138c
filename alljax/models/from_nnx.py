"""An NNX module as the two pure functions that everything here uses."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx
from jaxtyping import Array, Float, Key

from alljax.models.trees import flatten, unflatten


class Functions(NamedTuple):
    """`init` and `apply` as a linen module has them."""

    init: Callable[..., dict[str, Any]]
    apply: Callable[..., Any]


def from_nnx(make: Callable[..., nnx.Module]) -> Callable[..., Functions]:
    """Of an NNX module's class, with arguments (head, rngs=…), what `Network` asks for as its module.

    `head.classes` is the number of logits; the module's last layers should be called `head`, for the patterns of
    learning rates. Parameters and batch statistics become the variables; dropout draws from `rngs['dropout']`. Other
    than linen's, its batch normalizations go on with their statistics when their parameters are frozen.
    """

    def module(head: Any, **options: Any) -> Functions:
        def init(key: Key[Array, ''], image: Float[Array, 'batch height width 3']) -> dict[str, Any]:
            return _variables(make(head, **options, rngs=nnx.Rngs(key)))

        def apply(
            variables: dict[str, Any],
            image: Float[Array, 'batch height width 3'],
            *,
            train: bool = False,
            rngs: dict[str, Array] | None = None,
            mutable: Any = False,
        ) -> Any:
            # A new module each time: what it draws is replaced, so that under `jax.jit` it costs nothing, and its
            # random state never has to pass through a transformation.
            made = make(head, **options, rngs=nnx.Rngs(0, **(rngs or {})))
            _put(made, variables)
            made.train() if train else made.eval()
            logits = made(image)
            if mutable is False:
                return logits
            return logits, {name: tree for name, tree in _variables(made).items() if name != 'params'}

        return Functions(init, apply)

    return module


def _variables(made: nnx.Module) -> dict[str, Any]:
    found = {'params': _named(made, nnx.Param), 'batch_stats': _named(made, nnx.BatchStat)}
    return {collection: unflatten(leaves) for collection, leaves in found.items() if leaves}


def _named(made: nnx.Module, kind: type[nnx.Variable]) -> dict[str, Array]:
    leaves = nnx.to_flat_state(nnx.state(made, kind))
    return {'/'.join(map(str, path)): leaf[...] for path, leaf in leaves}


def _put(made: nnx.Module, variables: dict[str, Any]) -> None:
    for collection, kind in (('params', nnx.Param), ('batch_stats', nnx.BatchStat)):
        given = flatten(variables.get(collection, {}))
        state = nnx.state(made, kind)
        for path, leaf in nnx.to_flat_state(state):
            leaf[...] = jax.numpy.asarray(given['/'.join(map(str, path))])
        nnx.update(made, state)
