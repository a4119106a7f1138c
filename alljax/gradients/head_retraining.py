"""Linear heads fitted to convergence, many at once: what leaving examples out does, found by leaving them out.

The head of a network with frozen layers is a convex problem, so that its answer has no chance in it: the ground truth
of every measure of influence.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from alljax.gradients import batching
from alljax.gradients.argument_checks import (
    ArgumentTypeError,
    check_class_shape,
    check_classes,
    check_counts,
    check_examples,
    check_finite,
    is_array,
    known,
)
from alljax.gradients.trak_scores import margins
from alljax.gradients.typing import Examples, Number, Rows

NEWTON_STEPS = 50  # at most
SHORTER = 6  # tries of a step, each half as long, of which the best is taken
SOLVER_STEPS = 200  # at most, of the conjugate gradients within a step
PRECISE = 0.01  # of the gradient is what they may leave


class LinearHeads(NamedTuple):
    """Heads on the same features, and by how much each still differs from the best one."""

    weights: Float[Array, 'heads features classes']
    gradient: Float[Array, ' heads']  # the norm of the objective's gradient, as a part of that at zero weights


def fit_linear_heads(
    x: Rows, y: Rows, *, ridge: Number, example_weights: Rows | None = None, classes: int | None = None,
    start: Rows | None = None, batch_size: int | None = None,
) -> LinearHeads:  # fmt: skip
    """The best linear head on features `x` [N, features] for classes `y` [N], for each row of weights [heads, N].

    The least of Σ weight × cross-entropy / N + ridge / 2 × ‖weights‖², by Newton's method with conjugate gradients, to
    convergence. `example_weights` [heads, N] are numbers, or False for an example that is left out; by default there is
    one head, of all. The sum is divided by N whatever is left out, so that leaving one out changes nothing else. For a
    bias append a column of ones. `start` [features, classes] are weights near the solution; `batch_size` counts heads.
    Tables of rank 2 only. Can be jitted, if `classes` are given. ValueError where it does not converge, as for
    a ridge that is too small for the precision: enable x64.

    >>> gradients.fit_linear_heads(x.reshape(4, -1), y, ridge=0.1).weights.shape
    (1, 192, 3)
    """
    count = _checked('fit_linear_heads', (x, y), 'x', 'y', ridge, classes)
    check_counts('fit_linear_heads', batch_size=batch_size)
    weights = jnp.ones((1, len(x)))
    if example_weights is not None:
        weights = _weights('fit_linear_heads', example_weights, len(x), 'example_weights')
    if start is not None:
        if not is_array(start) or start.shape != (x.shape[1], count):
            raise ValueError(f'fit_linear_heads: start is {np.shape(start)}; expected {(x.shape[1], count)}')
        check_finite('fit_linear_heads', 'start', start)
    features, turned = _turned(jnp.asarray(x))
    first = jnp.zeros((features.shape[1], count), features.dtype) if start is None else turned @ start
    fit = partial(_fitted, features, jnp.asarray(y), first, ridge)
    found = batching.rows(fit, batch_size, weights.astype(features.dtype))
    if known(found.gradient) and not (np.asarray(found.gradient) < 100 * _tolerance(features.dtype)).all():
        raise ValueError(
            f'fit_linear_heads: ridge is {ridge}, and after {NEWTON_STEPS} steps the gradient is still '
            f'{float(found.gradient.max()):.2g} of its first; give a greater ridge, standardize x, or enable x64'
        )
    return LinearHeads(jnp.einsum('rf,hrc->hfc', turned, found.weights), found.gradient)


def leave_one_out(
    train: Examples, test: Examples, *, ridge: Number, classes: int | None = None, batch_size: int | None = None
) -> Float[Array, 'test train']:
    """The rise of each test example's loss when the head is fitted again without each training example.

    What `influence_functions` estimate, found by N fits as of `fit_linear_heads`, each from the head of all, to
    convergence. Examples are features [N, features] and classes; the same as test gives what each does to itself.
    Tables of rank 2 only. Can be jitted, if `classes` are given.

    >>> gradients.leave_one_out((x.reshape(4, -1), y), (x.reshape(4, -1), y), ridge=0.1).shape
    (4, 4)
    """
    count = _checked('leave_one_out', train, 'train[0]', 'train[1]', ridge, classes)
    check_counts('leave_one_out', batch_size=batch_size)
    _checked('leave_one_out', test, 'test[0]', 'test[1]', ridge, count, features=train[0].shape[1])
    x, y = train
    whole = fit_linear_heads(x, y, ridge=ridge, classes=count).weights
    keep = 1 - jnp.eye(len(x), dtype=whole.dtype)
    fit = partial(fit_linear_heads, x, y, ridge=ridge, classes=count, start=whole[0])
    without = batching.rows(lambda rows: _losses(fit(example_weights=rows).weights, *test), batch_size, keep)
    rises: Array = without - _losses(whole, *test)
    return rises.T


def subset_margins(
    train: Examples, test: Examples, subsets: Rows, *, ridge: Number, classes: int | None = None,
    batch_size: int | None = None,
) -> Float[Array, 'subsets test']:  # fmt: skip
    """The margin log p / (1 − p) of each test example's label, by a head fitted to each subset alone.

    `subsets` [subsets, N] say which training examples each has: what `linear_datamodeling_score` compares with the sum
    of their influences. Examples, shapes and `jit` are as of `leave_one_out`; `batch_size` counts subsets. Can be
    jitted, if `classes` are given.

    >>> half = jnp.array([[True, True, False, False], [False, True, True, False]])
    >>> gradients.subset_margins((x.reshape(4, -1), y), (x.reshape(4, -1), y), half, ridge=0.1).shape
    (2, 4)
    """
    count = _checked('subset_margins', train, 'train[0]', 'train[1]', ridge, classes)
    check_counts('subset_margins', batch_size=batch_size)
    _checked('subset_margins', test, 'test[0]', 'test[1]', ridge, count, features=train[0].shape[1])
    weights = _weights('subset_margins', subsets, len(train[0]), 'subsets')
    heads = fit_linear_heads(*train, ridge=ridge, example_weights=weights, classes=count, batch_size=batch_size).weights
    return jax.vmap(margins, (0, None))(jnp.einsum('nf,hfc->hnc', *map(jnp.asarray, (test[0], heads))), test[1])


def held_out_losses(
    x: Rows, y: Rows, folds: Rows, *, ridge: Number, classes: int | None = None, batch_size: int | None = None
) -> Float[Array, ' examples']:
    """The loss of each example by a head that was fitted without its fold (arXiv:1911.00068).

    `folds` [N] are integers from 0: examples of one fold do not speak for each other, as pictures of one cell should
    not. Great for an example whose label the other folds contradict. Arguments and errors are as of `fit_linear_heads`;
    tables of rank 2 only. Can be jitted, if `classes` are given and `folds` are known.

    >>> gradients.held_out_losses(x.reshape(4, -1), y, jnp.array([0, 0, 1, 1]), ridge=0.1).shape
    (4,)
    """
    count = _checked('held_out_losses', (x, y), 'x', 'y', ridge, classes)
    check_counts('held_out_losses', batch_size=batch_size)
    if not known(folds):
        raise ArgumentTypeError('held_out_losses: folds are traced, so nobody knows how many there are')
    check_examples('held_out_losses', x, folds, 'x', 'folds')
    check_class_shape('held_out_losses', folds, len(x), 'folds')
    names, fold = np.unique(np.asarray(folds), return_inverse=True)
    if len(names) < 2:
        raise ValueError('held_out_losses: folds are all the same, so none is left to learn from; expected two or more')
    weights = fold != np.arange(len(names))[:, None]
    heads = fit_linear_heads(x, y, ridge=ridge, example_weights=weights, classes=count, batch_size=batch_size).weights
    losses: Array = _losses(heads, x, y)[fold, jnp.arange(len(x))]
    return losses


def representer_points(
    train: Examples, test: Examples, *, ridge: Number, classes: int | None = None
) -> Float[Array, 'test train']:
    """The part of the logit of each test example's label that each training example gives (arXiv:1811.09720).

    The weights of a head at the least of its objective (`fit_linear_heads`) are a sum over training examples, whose
    terms are αₙ ⊗ features with α = (label − probabilities) / (ridge N): so a logit is the sum of its row (Yeh et al.
    2018). Positive for those that speak for the label. Examples are features [N, features] and classes, after the
    network's frozen layers. Tables of rank 2 only. Can be jitted, if `classes` are given.

    >>> gradients.representer_points((x.reshape(4, -1), y), (x.reshape(4, -1), y), ridge=0.1).shape
    (4, 4)
    """
    count = _checked('representer_points', train, 'train[0]', 'train[1]', ridge, classes)
    _checked('representer_points', test, 'test[0]', 'test[1]', ridge, count, features=train[0].shape[1])
    weights = fit_linear_heads(*train, ridge=ridge, classes=count).weights[0]
    x, y = map(jnp.asarray, train)
    missing = (jax.nn.one_hot(y, count, dtype=weights.dtype) - jax.nn.softmax(x @ weights)) / (ridge * len(x))
    return (jnp.asarray(test[0]) @ x.T) * missing[:, jnp.asarray(test[1])].T


def _checked(
    name: str, examples: Examples, x_name: str, y_name: str, ridge: Number, classes: int | None, *,
    features: int | None = None,
) -> int:  # fmt: skip
    """The number of classes, after the checks of a table of features and its labels."""
    x, y = examples
    check_examples(name, x, y, x_name, y_name)
    if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating) or features not in (None, x.shape[1]):
        wanted = 'features' if features is None else features
        raise ArgumentTypeError(f'{name}: {x_name} is {x.dtype} {tuple(x.shape)}; expected floats [N, {wanted}]')
    check_class_shape(name, y, len(x), y_name)
    check_counts(name, classes=classes)
    if known(ridge) and not (np.isfinite(ridge) and ridge > 0):
        raise ValueError(f'{name}: ridge is {ridge}; expected a finite number above 0, or there is no best head')
    if classes is None and not known(y):
        raise ArgumentTypeError(f'{name}: {y_name} is traced, so nobody knows how many classes there are; give classes')
    count = int(np.asarray(y).max()) + 1 if classes is None else classes
    check_classes(name, y, len(x), count, y_name)
    return count


def _weights(name: str, weights: Rows, examples: int, argument: str) -> Float[Array, 'heads examples']:
    if not is_array(weights) or weights.ndim != 2 or weights.shape[1] != examples or not len(weights):
        raise ArgumentTypeError(
            f'{name}: {argument} is {np.shape(weights)}; expected an array [heads, {examples}], a number or True for '
            'each training example'
        )
    check_finite(name, argument, weights)
    if known(weights) and np.asarray(weights).min() < 0:
        raise ValueError(f'{name}: {argument} goes down to {np.asarray(weights).min()}; expected 0 or more')
    return jnp.asarray(weights, float)


@jax.jit
def _turned(
    x: Float[Array, 'examples features'],
) -> tuple[Float[Array, 'examples rank'], Float[Array, 'rank features']]:
    """The features along as many axes as there are examples, and those axes: a head lies in their span."""
    if x.shape[1] <= len(x):
        return x, jnp.eye(x.shape[1], dtype=x.dtype)
    axes = jnp.linalg.qr(x.T)[0].T
    return x @ axes.T, axes


@jax.jit
def _losses(heads: Float[Array, 'heads features classes'], x: Array, y: Array) -> Float[Array, 'heads examples']:
    logits = jnp.einsum('nf,hfc->hnc', x, heads)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[None, :, None], 2)[..., 0]


def _tolerance(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).eps ** 0.75)


@jax.jit
def _fitted(x: Array, y: Array, start: Array, ridge: Number, weights: Float[Array, 'heads examples']) -> LinearHeads:
    truth = jax.nn.one_hot(y, start.shape[1], dtype=x.dtype)
    sizes = 0.5 ** jnp.arange(SHORTER, dtype=x.dtype)

    def fit(each: Float[Array, ' examples']) -> LinearHeads:
        each = each / len(x)

        def gradient(w: Array) -> Array:
            return x.T @ ((jax.nn.softmax(x @ w) - truth) * each[:, None]) + ridge * w

        def objective(w: Array, logits: Array) -> Array:
            return -each @ jnp.sum(jax.nn.log_softmax(logits) * truth, 1) + ridge / 2 * jnp.sum(w**2)

        first = jnp.linalg.norm(gradient(jnp.zeros_like(start)))

        def improved(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            w, slope, count = state
            logits = x @ w
            shares = jax.nn.softmax(logits)

            def curved(v: Array) -> Array:
                change = x @ v
                change = shares * (change - jnp.sum(shares * change, 1, keepdims=True))
                return x.T @ (change * each[:, None]) + ridge * v

            way = jax.scipy.sparse.linalg.cg(curved, slope, tol=PRECISE, maxiter=SOLVER_STEPS)[0]
            along = x @ way
            values = jax.vmap(lambda size: objective(w - size * way, logits - size * along))(sizes)
            w = w - sizes[jnp.argmin(values)] * way
            return w, gradient(w), count + 1

        def unfinished(state: tuple[Array, Array, Array]) -> Bool[Array, '']:
            steep: Array = jnp.linalg.norm(state[1]) > _tolerance(x.dtype) * first
            return steep & (state[2] < NEWTON_STEPS)

        w, slope, _ = jax.lax.while_loop(unfinished, improved, (start, gradient(start), jnp.asarray(0)))
        return LinearHeads(w, jnp.linalg.norm(slope) / first)

    return jax.vmap(fit)(weights)
