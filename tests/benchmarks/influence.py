"""Measures of influence on real cells: what they foretell, the wrong labels they find, and the repeats they name.

    python tests/benchmarks/influence.py CELLS [--network efficientnet_lite0] [--seeds 5] [--wrong 0.05]
    python tests/benchmarks/influence.py CELLS --network alexnet

A linear head on the features of a frozen network with published weights, fitted to convergence. Agreement, with right
labels, on 100 cells that do not train: the correlation with leaving each training cell out and fitting again, and the
linear datamodeling score over heads of 100 random halves. Detection: labels of `--wrong` of the cells are changed to
another class at random, the head is fitted to them, and each measure ranks the cells; means over `--seeds`, with the
interval that a t distribution gives. Repeats: for each cell with another picture of the same cell, as the
audit knows, is that the one of greatest influence?
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats
from training_likeness import read

from alljax import gradients
from alljax.data import audit
from alljax.explain import linear_head
from alljax.models import NetworkSpec
from alljax.storage import cache, model_folder
from alljax.training import frozen_features
from alljax.weights import weight_cache

HELD_OUT, SUBSETS, FOLDS = 100, 100, 10
RATE = 1.0  # of gradient descent
MEASURES = (
    'influence functions, conjugate gradients', 'influence functions, LiSSA', 'influence functions, EK-FAC',
    'TRAK, dense', 'TRAK, factored', 'TracIn, 5 checkpoints', 'TracIn, the last', 'Grad-Cos', 'representer points',
)  # fmt: skip
STARTS = {'alexnet': ('convolutions', {'dense': False})}  # networks whose published dense layers are left out
SUSPECTS = f'the same, the best of {len(linear_head.RIDGES)} ridges (--suspects)'
KEY = jax.random.key(0)

Examples = tuple[Any, Any]


class Head(nn.Module):
    """A dense layer on features whose last column is 1."""

    classes: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(self.classes, use_bias=False, name='head')(x)


def main() -> None:
    """Prints three tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument('cells', type=Path)
    parser.add_argument('--network', default='efficientnet_lite0')
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--wrong', type=float, default=0.05)
    parser.add_argument('--ridge', type=float, default=0.01)
    parser.add_argument('--tables', nargs='*', default=['agreement', 'detection', 'repeats'])
    options = parser.parse_args()
    cells = read(options.cells)
    x = features(options.network, cells.images)
    print(f'{options.network}: {len(x)} cells, {x.shape[1]} features, ridge {options.ridge}')
    if 'agreement' in options.tables:
        with jax.enable_x64(True):
            agreement(x, cells.labels, options.ridge)
    x = x.astype(np.float32)
    if 'detection' in options.tables:
        detection(x, cells, options)
    if 'repeats' in options.tables:
        repeats(x, cells, options)


def features(network: str, images: np.ndarray) -> np.ndarray:
    """The standardized features of a frozen network, and a column of ones."""
    weights, more = STARTS.get(network, ('', {}))
    variables = model_folder.read_variables(weight_cache.obtain(network, weights))
    body = NetworkSpec(network, more).create(0)
    rows = frozen_features.features(body, variables, {'averaged': True, **more}, images, 32, cache.folder('features'))
    rows = rows.reshape(len(rows), -1, rows.shape[-1]).mean(1).astype(float)
    rows = (rows - rows.mean(0)) / (rows.std(0) + 1e-9) / np.sqrt(rows.shape[1])  # a mean squared norm of 1
    if rows.shape[1] > len(rows):  # along as many axes as there are cells, all that a head can see of them
        rows = rows @ np.linalg.qr(rows.T)[0]
    return np.append(rows, np.ones((len(rows), 1)), 1)


def fitted(train: Examples, ridge: float) -> tuple[Any, Any, Any]:
    """`apply`, a loss and the parameters of the best head."""
    model = Head(int(train[1].max()) + 1)

    def apply(params: Any, x: Any) -> Any:
        return model.apply({'params': params}, x)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(apply(params, x)), y[:, None], 1)[:, 0]

    weights = gradients.fit_linear_heads(*train, ridge=ridge).weights[0]
    return apply, loss, {'head': {'kernel': weights}}


def solvers(apply: Any, loss: Any, params: Any, train: Examples, ridge: float) -> dict[str, Callable[[Any], Any]]:
    """The ways from a gradient to the inverse curvature times it; the ridge is part of the objective's curvature."""
    whole = gradients.curvature_operator(apply, params, *train, kind='ggn')
    rows = np.array_split(np.random.default_rng(0).permutation(len(train[0])), 8)
    size = min(map(len, rows))
    parts = [
        gradients.curvature_operator(apply, params, train[0][part[:size]], train[1][part[:size]], kind='ggn')
        for part in rows
    ]
    factors = gradients.kronecker_factors(apply, params, *train, corrected=True)
    kronecker = jax.jit(gradients.kronecker_solve)
    return {
        'conjugate gradients': jax.jit(lambda tree: gradients.conjugate_gradients(whole, tree, damping=ridge)[0]),
        'LiSSA': jax.jit(gradients.lissa(parts, key=KEY, damping=ridge)),
        'EK-FAC': lambda tree: kronecker(factors, tree, ridge),
    }


def influences(x: Any, y: Any, test: Examples, ridge: float, names: list[str]) -> dict[str, np.ndarray]:
    """The influence [test, train] of each training cell by each measure, and the seconds that it took."""
    train = x, y
    apply, loss, params = fitted(train, ridge)
    solve = solvers(apply, loss, params, train, ridge)
    steps = descent(loss, params, train)
    found = {
        f'influence functions, {name}': partial(gradients.influence_functions, loss, params, train, test, solve=one)
        for name, one in solve.items()
    }
    found |= {
        f'TRAK, {kind}': partial(gradients.trak, apply, [params], train, test, key=KEY, projection=kind)
        for kind in ('dense', 'factored')
    }
    found['TracIn, 5 checkpoints'] = partial(gradients.tracin, loss, steps, train, test, [RATE] * len(steps))
    found['TracIn, the last'] = partial(gradients.tracin, loss, [params], train, test, [1.0])
    found['Grad-Cos'] = partial(gradients.gradient_cosine, loss, params, train, test)
    found['representer points'] = partial(gradients.representer_points, train, test, ridge=ridge, classes=5)
    return {name: np.asarray(call()) for name, call in found.items() if not names or name in names}


def descent(loss: Any, params: Any, train: Examples) -> list[Any]:
    """Five heads on the way of gradient descent from zero."""
    step = jax.jit(
        lambda params: jax.tree.map(
            lambda leaf, slope: leaf - RATE * slope, params, jax.grad(lambda p: loss(p, *train).mean())(params)
        )
    )
    params, kept = jax.tree.map(jnp.zeros_like, params), []
    for number in range(1, 101):
        params = step(params)
        kept += [params] if number % 20 == 0 else []
    return kept


def agreement(x: np.ndarray, y: np.ndarray, ridge: float) -> None:
    """Prints how far each measure foretells what fitting again shows."""
    order = np.random.default_rng(0).permutation(len(x))
    (train, test) = ((x[rows], y[rows]) for rows in (order[HELD_OUT:], order[:HELD_OUT]))
    began = time.process_time()
    truth = np.asarray(gradients.leave_one_out(train, test, ridge=ridge, batch_size=128))
    print(f'  {len(train[0])} heads without one cell: {time.process_time() - began:.0f} s of processor time')
    subsets = np.random.default_rng(1).random((SUBSETS, len(train[0]))).argsort(1) < len(train[0]) // 2
    outputs = gradients.subset_margins(train, test, subsets, ridge=ridge)
    print(f'  {"":44}{"left out, r":>12}{"rank":>7}{"LDS":>7}{"seconds":>9}')
    for name in MEASURES:
        began = time.process_time()
        found = influences(*train, test, ridge, [name])[name]
        seconds = time.process_time() - began
        score = np.asarray(gradients.linear_datamodeling_score(found, subsets, outputs)).mean()
        row = [np.mean([f(a, b).statistic for a, b in zip(found, truth, strict=True)]) for f in (
            stats.pearsonr, stats.spearmanr)]  # fmt: skip
        print(f'  {name:44}{row[0]:12.3f}{row[1]:7.3f}{score:7.3f}{seconds:9.1f}', flush=True)


def suspicions(x: np.ndarray, y: np.ndarray, groups: np.ndarray, ridge: float) -> dict[str, np.ndarray]:
    """A score of each cell by each measure, greater where its label is more suspect."""
    train = x, y
    apply, loss, params = fitted(train, ridge)
    solve = solvers(apply, loss, params, train, ridge)
    losses = np.asarray(loss(params, x, y))
    scores = {'its loss': losses}
    for name in ('conjugate gradients', 'EK-FAC'):
        own = gradients.self_influence(loss, params, train, solve=solve[name])
        scores[f'self-influence, {name}'] = np.asarray(own)
    steps = descent(loss, params, train)
    squares = [gradients.per_example_gradients(loss, tree, x, y, reduce='squared') for tree in steps]
    scores['TracIn of itself, 5 checkpoints'] = np.sum([np.asarray(one) for one in squares], 0)
    inner = {
        'TracIn of the others, 5 checkpoints': gradients.tracin(loss, steps, train, train, [RATE] * len(steps)),
        'Grad-Cos of the others': gradients.gradient_cosine(loss, params, train, train),
        'representer points of the others': gradients.representer_points(train, train, ridge=ridge),
    }
    found = gradients.trak(apply, [params], train, train, key=KEY)
    scores['TRAK of itself'] = np.diag(found)
    inner['TRAK of the others'] = found
    for name, table in inner.items():
        scores[name] = -(np.asarray(table).sum(1) - np.diag(table))
    folds = {
        f'loss by {FOLDS} folds at random': np.random.default_rng(0).permutation(len(x)) % FOLDS,
        f'loss by {FOLDS} folds of slides': np.random.default_rng(0).permutation(groups.max() + 1)[groups] % FOLDS,
    }
    for name, fold in folds.items():
        scores[name] = np.asarray(gradients.held_out_losses(x, y, fold, ridge=ridge))
    tried = [gradients.held_out_losses(x, y, next(iter(folds.values())), ridge=one) for one in linear_head.RIDGES]
    scores[SUSPECTS] = np.asarray(min(tried, key=np.mean))
    return scores


def detection(x: np.ndarray, cells: Any, options: argparse.Namespace) -> None:
    """Prints how well each measure finds labels that were changed."""
    found: dict[str, list[Any]] = {}
    groups = np.unique(cells.groups, return_inverse=True)[1]
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        wrong = np.zeros(len(x), bool)
        wrong[rng.choice(len(x), round(options.wrong * len(x)), replace=False)] = True
        other = (cells.labels + rng.integers(1, len(cells.classes), len(x))) % len(cells.classes)
        y = np.where(wrong, other, cells.labels)
        began = time.process_time()
        for name, score in suspicions(x, y, groups, options.ridge).items():
            one = gradients.mislabel_detection(score, wrong, share=options.wrong)
            found.setdefault(name, []).append([float(one.auc), float(one.precision)])
        print(f'  labels of seed {seed}: {time.process_time() - began:.0f} s of processor time', flush=True)
    print(f'  {options.wrong:.0%} of the labels changed, {options.seeds} seeds')
    print(f'  {"":44}{"AUC":>22}   precision in the first {options.wrong:.0%}')
    for name, rows in found.items():
        print(f'  {name:44}' + ''.join(f'{interval(column):>22}' for column in np.transpose(rows)))


def interval(values: np.ndarray) -> str:
    """The mean of a few seeds, and its interval of 95 % by a t distribution."""
    mean = values.mean()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0
    return f'{mean:.3f} ({mean - half:.3f} to {min(mean + half, 1):.3f})'


def repeats(x: np.ndarray, cells: Any, options: argparse.Namespace) -> None:
    """Prints how often the most influential other cell is a repeat, of the cells that have one."""
    known = audit.audit(options.cells)
    repeat = dict(zip(known.listing.files, known.repeats, strict=True))
    marks = np.array([repeat[name] for name in cells.names])
    asked = np.flatnonzero(marks != '')
    print(f'  {f"{len(asked)} cells with another picture":44}{"the first":>10}{"in five":>10}')
    tables = influences(x, cells.labels, (x[asked], cells.labels[asked]), options.ridge, [])
    tables['cosine of features'] = (x / np.linalg.norm(x, axis=1)[:, None])[asked] @ (
        x / np.linalg.norm(x, axis=1)[:, None]
    ).T
    for name, found in tables.items():
        table = np.array(found)
        table[np.arange(len(asked)), asked] = -np.inf
        same = marks[np.argsort(-table, 1)[:, :5]] == marks[asked][:, None]
        print(f'  {name:44}{same[:, 0].mean():10.1%}{same.any(1).mean():10.1%}')


if __name__ == '__main__':
    main()
