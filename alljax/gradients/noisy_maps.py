"""The maps of a method for inputs with noise, as many samples at once as the method's batch size allows."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_method_result, not_finite
from alljax.gradients.typing import Inputs, Method, Network, Number, Params, Target


class Asked(NamedTuple):
    """A measure of a method, and what the method is called with beside the inputs."""

    measure: str  # which errors name
    method: Method
    apply: Network
    params: Params
    target: Target
    options: dict[str, Any]  # those that a `functools.partial` has bound too, if `asked_of` made it

    def maps(self, x: Inputs) -> Float[Array, 'batch values']:
        """The map of each input in one row, after the checks of what the method returned."""
        found = self.method(self.apply, self.params, x, self.target, **self.options)
        return jnp.asarray(check_method_result(self.measure, found, x).map).reshape(len(x), -1)


class Noisy(NamedTuple):
    """Some samples of the inputs with noise, and their maps."""

    x: Float[Array, 'samples batch ...']
    maps: Float[Array, 'samples batch values']


def asked_of(measure: str, method: Method, given: tuple[Network, Params, Target], options: dict[str, Any]) -> Asked:
    """The call of a method; of a `functools.partial` the options are those of the function in it."""
    function: Any = method  # a Method says nothing of partials
    while isinstance(function, partial) and not function.args:
        function, options = function.func, function.keywords | options
    return Asked(measure, function, *given, options)


def noisy_maps(asked: Asked, x: Inputs, key: Key[Array, ''], radius: Number, samples: int) -> Iterator[Noisy]:
    """The maps under uniform noise up to `radius` in each value, some of the `samples` at once.

    Each sample is a call of its own under `jax.vmap`: options with a row for each input fit, and a method that draws
    numbers draws the same for each. One that cannot be traced, because it looks at values, is called for one after the
    other. `batch_size` among the options bounds the inputs of all samples together; without it they are AT_ONCE.
    """
    x, batch_size = jnp.asarray(x), asked.options.get('batch_size')
    size = batching.copies_at_once(min(len(x), batch_size or len(x)), samples, batch_size)
    shared = {'batch_size': batch_size // size} if batch_size else {}
    together = asked._replace(options=asked.options | shared)
    traceable = size > 1
    for start in range(0, samples, size):
        moved, found = _moved(x, key, start + jnp.arange(size), radius), None
        if traceable:
            try:
                found = jax.vmap(together.maps)(moved)
            except jax.errors.JAXTypeError:
                traceable = False
        count = min(size, samples - start)
        if found is None or not_finite({'maps': found}):  # of values that it sees, the method can say what is wrong
            found = jnp.stack([asked.maps(one) for one in moved[:count]])
        yield Noisy(moved[:count], found[:count])


@jax.jit
def _moved(
    x: Float[Array, 'batch ...'], key: Key[Array, ''], samples: Int[Array, ' samples'], radius: Number
) -> Float[Array, 'samples batch ...']:
    def draw(sample: Int[Array, '']) -> Array:
        return jax.random.uniform(jax.random.fold_in(key, sample), x.shape, x.dtype, -radius, radius)

    return x + jax.vmap(draw)(samples)
