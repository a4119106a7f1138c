"""Linear heads on the features of a run: what they foresee of a training cell that they have not seen, and why."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from alljax import gradients
from alljax.data.cells import Cells
from alljax.training import inference

FOLDS = 10
RIDGES = (0.001, 0.01, 0.1)  # on features of a mean squared norm of 1; the one that foresees labels best is taken
SEED = 0  # of the folds


def standardized(rows: np.ndarray) -> Float[np.ndarray, 'cells features']:
    """Features averaged over positions, of mean 0, deviation 1 and a mean squared norm of 1, and a column of ones."""
    rows = rows.reshape(len(rows), -1, rows.shape[-1]).mean(1).astype(np.float32)
    spread = rows.std(0)
    rows = (rows - rows.mean(0)) / np.where(spread > 0, spread, 1) / np.sqrt(max((spread > 0).sum(), 1))
    return np.append(rows, np.ones((len(rows), 1), rows.dtype), 1)


def folds_of(cells: Cells) -> Int[np.ndarray, ' cells']:
    """The fold of each cell, drawn at random; pictures of one cell are in one, or they would speak for each other."""
    seen_once = cells.repeats < 0
    marks = np.where(seen_once, np.arange(len(cells)), len(cells) + cells.repeats)
    own = np.unique(marks, return_inverse=True)[1]
    return (np.random.default_rng(SEED).permutation(own.max() + 1) % FOLDS)[own]


def foreseen(
    features: Float[np.ndarray, 'cells features'], cells: Cells, classes: int
) -> tuple[Float[np.ndarray, 'cells classes'], float]:
    """The probabilities that heads give to cells they did not train on, and the ridge that foresees labels best."""
    folds = folds_of(cells)
    tried = {ridge: _foreseen(features, cells.labels, folds, classes, ridge) for ridge in RIDGES}
    losses = {ridge: -np.log(found[np.arange(len(cells)), cells.labels]).mean() for ridge, found in tried.items()}
    best = min(losses, key=lambda ridge: losses[ridge])
    return tried[best], best


def _foreseen(
    features: np.ndarray, labels: np.ndarray, folds: np.ndarray, classes: int, ridge: float
) -> Float[np.ndarray, 'cells classes']:
    """The probabilities of each cell's classes by the head that was fitted without its fold."""
    names, fold = np.unique(folds, return_inverse=True)
    kept = fold != np.arange(len(names))[:, None]
    heads = gradients.fit_linear_heads(features, labels, ridge=ridge, example_weights=kept, classes=classes).weights
    logits = jnp.einsum('nf,hfc->hnc', features, heads)[fold, jnp.arange(len(labels))]
    return inference.probabilities(logits, 'the linear head')


def _head_loss(params: dict[str, Array], x: Array, y: Array) -> Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(x @ params['weights']), y[:, None], 1)[:, 0]


def relative_influence(
    x: Float[np.ndarray, 'cells features'], labels: Int[np.ndarray, ' cells'], classes: int, ridge: float,
    asked: Int[np.ndarray, ' asked'],
) -> Float[np.ndarray, 'asked cells']:  # fmt: skip
    """The influence of each cell on the loss of those at `asked`, in a head that was fitted to all.

    Relative to the length of the cell's own gradient (arXiv:2003.11630): else the cells with the worst labels of all
    would stand beside each, instead of those that look like it.
    """
    y = np.asarray(labels)
    head = gradients.fit_linear_heads(x, y, ridge=ridge, classes=classes).weights[0]
    params = {'weights': head}
    op = gradients.curvature_operator(loss=_head_loss, params=params, x=x, y=y)

    @jax.jit
    def solve(gradient: Any) -> Any:
        return gradients.conjugate_gradients(op, gradient, damping=ridge)[0]

    found = gradients.influence_functions(_head_loss, params, (x, y), (x[asked], y[asked]), solve=solve)
    norms = gradients.per_example_gradients(_head_loss, params, x, y, reduce='norm')
    return np.asarray(found) / np.maximum(np.asarray(norms), np.finfo(np.float32).tiny)
