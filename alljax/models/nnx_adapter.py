"""An NNX module as the two pure functions that everything here uses."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import flax.linen as nn
import jax
from flax import nnx
from jaxtyping import Array, Float, Key

from alljax.models.network_definition import ModuleFunctions, Variables
from alljax.models.trees import flatten, unflatten


def from_nnx(make: Callable[..., nnx.Module]) -> Callable[..., ModuleFunctions]:
    """The module that `Network` asks for, from an NNX module's class with arguments (head, rngs=…).

    `head.classes` is the number of logits; the module's last layers should be called `head`, for the patterns of
    learning rates. Parameters and batch statistics become the variables; dropout draws from `rngs['dropout']`. Other
    than linen's, its batch normalizations go on with their statistics when their parameters are frozen.
    """

    def module(head: nn.Module, **options: Any) -> ModuleFunctions:
        def init(key: Key[Array, ''], image: Float[Array, 'batch height width 3']) -> Variables:
            return _variables(make(head, **options, rngs=nnx.Rngs(key)))

        def apply(
            variables: Variables,
            image: Float[Array, 'batch height width 3'],
            *,
            train: bool = False,
            rngs: Mapping[str, Array] | None = None,
            mutable: Collection[str] | bool = False,
        ) -> Any:  # as `Apply` has it
            # A new module each time: what it draws is replaced, so that under `jax.jit` it costs nothing, and its
            # random state never has to pass through a transformation.
            made = make(head, **options, rngs=nnx.Rngs(0, **(rngs or {})))
            _put(made, variables)
            made.train() if train else made.eval()
            logits = made(image)
            if mutable is False:
                return logits
            return logits, {name: tree for name, tree in _variables(made).items() if name != 'params'}

        return ModuleFunctions(init, apply)

    return module


def _variables(made: nnx.Module) -> Variables:
    found = {'params': _named(made, nnx.Param), 'batch_stats': _named(made, nnx.BatchStat)}
    return {collection: unflatten(leaves) for collection, leaves in found.items() if leaves}


def _named(made: nnx.Module, kind: type[nnx.Variable[Array]]) -> dict[str, Array]:
    leaves = nnx.to_flat_state(nnx.state(made, kind))
    return {'/'.join(map(str, path)): leaf[...] for path, leaf in leaves}


def _put(made: nnx.Module, variables: Variables) -> None:
    for collection, kind in (('params', nnx.Param), ('batch_stats', nnx.BatchStat)):
        given = flatten(variables.get(collection, {}))
        state = nnx.state(made, kind)
        for path, leaf in nnx.to_flat_state(state):
            leaf[...] = jax.numpy.asarray(given['/'.join(map(str, path))])
        nnx.update(made, state)
