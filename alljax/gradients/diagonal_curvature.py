"""The diagonal of Gauss-Newton and Fisher matrices, without the matrices."""

from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Key

from alljax.gradients import batching
from alljax.gradients.curvature_matrix import OUTER, Asked, checked
from alljax.gradients.named_parameters import named, with_leaves
from alljax.gradients.squared_gradients import Batch, diagonal
from alljax.gradients.typing import Loss, Network, OutputLoss, Params


def curvature_diagonal(
    apply: Network | None = None, params: Params = None, x: Any = None, y: Any = None, *,
    loss: Loss | None = None, output_loss: OutputLoss | None = None,
    kind: Literal['ggn', 'sampled_fisher', 'fisher'] = 'ggn', key: Key[Array, ''] | None = None, samples: int = 1,
    where: str | None = None, batch_size: int | None = None,
) -> Params:  # fmt: skip
    """The diagonal of a Gauss-Newton or Fisher matrix: a tree of the parameters' shapes, zero where nothing varies.

    All arguments are as in `curvature_operator`. 'ggn' is exact and costs a pass back for each class;
    'sampled_fisher' one for each of the `samples`; 'fisher' is of the gradients of the given labels. Any network; in
    linen's layers the squares come from both sides of the layer. Of a loss that is not convex in the outputs,
    directions in which it curves down count as flat. Examples are of any rank. Can be jitted.

    >>> found = gradients.curvature_diagonal(apply, params, x, y)
    >>> drawn = gradients.curvature_diagonal(apply, params, x, y, kind='sampled_fisher', key=key, samples=4)
    """
    asked = Asked(apply, params, x, y, loss, output_loss, kind, where, batch_size, key, samples)
    matrix, params, chosen, *rows = checked('curvature_diagonal', asked, OUTER)

    def of_batch(*batch: Array) -> dict[str, Array]:
        part: dict[str, Array] = diagonal(matrix, params, chosen, Batch(*batch))
        return part

    total = batching.total(of_batch, batch_size, *rows)
    still = {name: jnp.zeros_like(leaf) for name, leaf in named(params).items()}
    return with_leaves(params, still | {name: leaf / len(rows[0]) for name, leaf in total.items()})
