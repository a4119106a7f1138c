"""The summary of a run: gradient statistics, curvature of the loss, and the training cells its predictions rest on."""

import json
import logging
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float

from alljax import gradients
from alljax.config import resolve
from alljax.config.plan import Plan
from alljax.data import datasets, image_files
from alljax.data.cells import Cells
from alljax.data.protocol import divide
from alljax.errors import UserError
from alljax.gradients import batching
from alljax.gradients.named_parameters import named
from alljax.runs.trained import Trained
from alljax.training import inference, rate_factors

CURVED = 56  # training cells for the curvature, evenly through them: a product costs three steps of training
VECTORS = 2**27  # numbers that Lanczos' method may keep: half a GB, twice while it adds one
MOST = 20  # its steps
PROBES = 6
ASKED = 5  # cells whose origin is looked for, unless images are named: the test cells of the greatest loss
NAMED = 4  # training cells that are shown for each, helpful and harmful

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """A cell, and the training cells that made its loss smaller or greater."""

    name: str
    image: np.ndarray
    label: str  # its class; of an image from outside, the predicted one
    probability: float
    helpful: list['Origin']
    harmful: list['Origin']


class Origin(NamedTuple):
    """A training cell and by how much a step of rate 1 on it would lower the loss of another, to first order."""

    name: str
    image: np.ndarray
    label: str
    influence: float


class Summary(NamedTuple):
    """The gradients, the curvature and the influence of training cells of a run."""

    cells: int  # of the training side
    curved: int  # of them, for the curvature
    where: int  # parameters that were trained
    statistics: dict[str, gradients.Statistics]  # by layer, and 'all'
    conflict: Float[np.ndarray, 'classes classes']
    eigenvalues: list[float]  # the largest of the Hessian, at most three
    trace: tuple[float, float]  # of the Hessian, and its standard error
    asked: list[Asked]


def summarize(
    run: Trained,
    path: Path,
    images: Sequence[image_files.Picture],
    batch_size: int,
    say: Callable[[str], None] = log.info,
) -> Summary:
    """The summary of a run on its own data; UserError if its folder is none of a run, or its data are gone.

    `say` is told what comes next.
    """
    plan = resolve.of_run(path.parent if path.name == 'model' else path)
    cells, parts = divide(datasets.load(plan.data, plan.seed), plan.split, plan.augmentation, plan.seed)
    if cells.origin.fingerprint != run.facts['fingerprint']:
        raise UserError(f'{path}: was trained on other cells than those now in {cells.origin.root}; restore them')
    rest = {name: tree for name, tree in run.variables.items() if name != 'params'}
    params, where = run.variables['params'], _trained(plan, run)

    def apply(params: Any, x: Array) -> Array:
        return run.model.apply({'params': params, **rest}, x)

    def loss(params: Any, x: Array, y: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y)

    train = _prepared(run, cells.images[parts.train], batch_size), cells.labels[parts.train]
    say(f'gradients of {len(parts.train)} training cells')
    statistics = gradients.gradient_statistics(loss, params, *train, batch_size=batch_size)
    classes = len(run.classes)
    by_class = gradients.class_gradients(loss, params, *train, classes=classes, batch_size=batch_size)
    conflict = np.asarray(gradients.gradient_similarity(by_class).conflict)
    del by_class
    chosen = np.unique(np.linspace(0, len(train[1]) - 1, min(CURVED, len(train[1]))).astype(int))
    operator = gradients.curvature_operator(
        apply, params, train[0][chosen], train[1][chosen], where=where, batch_size=batch_size
    )
    steps = int(np.clip(VECTORS // operator.like.size, 6, MOST))
    say(f'curvature of {operator.like.size:,} parameters on {len(chosen)} of them: {steps + PROBES} products')
    key = jax.random.key(plan.seed)
    largest = gradients.eigenvalues(operator, min(3, operator.like.size), key=key, iterations=steps)
    trace = gradients.stochastic_trace(operator, key, PROBES)
    asked = _asked(run, images) if images else _worst(run, cells, parts.test, batch_size)
    say(f'influence of the training cells on {len(asked[0])} cells')
    names = [name for name in named(params) if re.fullmatch(where, name)]
    test = _prepared(run, asked[0], batch_size), asked[1]
    influence = gradients.tracin(loss, [params], train, test, [1.0], where=where, batch_size=batch_size)
    return Summary(
        cells=len(parts.train),
        curved=len(chosen),
        where=sum(named(params)[name].size for name in names),
        statistics=statistics,
        conflict=conflict,
        eigenvalues=[float(value) for value in largest],
        trace=(float(trace[0]), float(trace[1])),
        asked=_origins(run, cells, parts.train, asked, np.asarray(influence)),
    )


def as_json(run: Trained, found: Summary) -> str:
    """summary.json: all numbers, without the pictures."""

    def plain(origins: list[Origin]) -> list[dict[str, Any]]:
        return [{'file': one.name, 'class': one.label, 'influence': one.influence} for one in origins]

    statistics = {
        layer: {name: None if np.isinf(value) else float(value) for name, value in row._asdict().items()}
        for layer, row in found.statistics.items()
    }
    influence = [
        {'file': one.name, 'class': one.label, 'probability': one.probability, 'helpful': plain(one.helpful),
         'harmful': plain(one.harmful)}
        for one in found.asked
    ]  # fmt: skip
    whole = {
        'network': run.model.name,
        'synthetic': bool(run.facts.get('synthetic')),
        'training_cells': found.cells,
        'gradients': statistics,
        'class_conflict': {'labels': list(run.classes), 'matrix': found.conflict.tolist()},
        'curvature': {'cells': found.curved, 'parameters': found.where, 'hessian_eigenvalues': found.eigenvalues,
                      'hessian_trace': found.trace[0], 'hessian_trace_standard_error': found.trace[1]},
        'influence': influence,
    }  # fmt: skip
    return json.dumps(whole, indent=2) + '\n'


def _trained(plan: Plan, run: Trained) -> str:
    """A pattern for the names of the parameters that the run trained."""
    names = rate_factors.trained(run.variables['params'], plan.training.factors, plan.training.freeze)
    return '|'.join(map(re.escape, names))


def _prepared(run: Trained, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Cells as the network takes them, on the host."""
    return np.asarray(batching.rows(partial(_ready, form=run.model.input), batch_size, images))


_ready = jax.jit(inference.prepared, static_argnames='form')


def _worst(run: Trained, cells: Cells, test: np.ndarray, batch_size: int) -> tuple[Any, ...]:
    """Images, labels, names and probabilities of the test cells with the greatest loss."""
    logits = inference.run(inference.make_logits(run.model), run.variables, cells.images, test, batch_size)
    right = np.asarray(jax.nn.softmax(logits))[np.arange(len(test)), cells.labels[test]]
    order = np.argsort(right, kind='stable')[:ASKED]
    chosen = test[order]
    return cells.images[chosen], cells.labels[chosen], [cells.names[index] for index in chosen], right[order]


def _asked(run: Trained, images: Sequence[image_files.Picture]) -> tuple[Any, ...]:
    """The same of images from outside, with their predicted classes as labels."""
    pixels = np.stack([one.pixels for one in images])
    logits = inference.run(inference.make_logits(run.model), run.variables, pixels, np.arange(len(images)), len(images))
    chances = np.asarray(jax.nn.softmax(logits))
    return pixels, chances.argmax(1), [str(one.path) for one in images], chances.max(1)


def _origins(
    run: Trained, cells: Cells, train: np.ndarray, asked: tuple[Any, ...], influence: Float[np.ndarray, 'asked train']
) -> list[Asked]:
    def origins(row: np.ndarray, order: np.ndarray) -> list[Origin]:
        return [
            Origin(cells.names[train[i]], cells.images[train[i]], run.classes[cells.labels[train[i]]], float(row[i]))
            for i in order
        ]

    found = []
    for image, label, name, chance, row in zip(*asked, influence, strict=True):
        order = np.argsort(-row, kind='stable')
        helpful, harmful = (chosen[:NAMED] for chosen in (order, order[::-1]))
        found.append(
            Asked(name, image, run.classes[int(label)], float(chance), origins(row, helpful[row[helpful] > 0]),
                  origins(row, harmful[row[harmful] < 0]))
        )  # fmt: skip
    return found
