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
from jaxtyping import Array, Float

from alljax import gradients
from alljax.config.plan import Plan
from alljax.data import image_files
from alljax.data.audit.shortcuts import Shortcut
from alljax.data.cells import Cells
from alljax.errors import UserError
from alljax.evaluation import calibration
from alljax.explain import run_data
from alljax.gradients import batching
from alljax.gradients.named_parameters import named
from alljax.models import Variables
from alljax.runs import final_model, preparation, training_shortcuts
from alljax.runs.network import TrainedNetwork
from alljax.storage import checkpoints, run_folder
from alljax.storage.streamed_pictures import held, taken
from alljax.training import inference, inputs, learning_rate_factors
from alljax.training.loss import cross_entropy

CURVATURE_CELLS = 56  # training cells for the curvature, evenly through them: a product costs three training steps
LANCZOS_MEMORY = 2**27  # numbers that Lanczos' method may keep: half a GB, twice while it adds one
LANCZOS_STEPS = 20  # at most
TRACE_PROBES = 6
WORST_CELLS = 5  # whose influences are looked for, unless images are named: the test cells of the greatest loss
SHOWN_INFLUENCES = 4  # training cells that are shown for each, helpful and harmful

MODEL = 'the model'  # among the checkpoints of a run

log = logging.getLogger(__name__)


class InfluencedCell(NamedTuple):
    """A cell, and the training cells that made its loss smaller or greater."""

    name: str
    image: np.ndarray
    label: str  # its class; of an image from outside, the predicted one
    probability: float  # of that class, as the model says it: calibrated if the model is
    helpful: list['Influence']
    harmful: list['Influence']


class Influence(NamedTuple):
    """A training cell and by how much a step of rate 1 on it would lower the loss of another, to first order."""

    name: str
    image: np.ndarray
    label: str
    influence: float


class Summary(NamedTuple):
    """The gradients, the curvature and the influence of training cells of a run."""

    training_cells: int
    curvature_cells: int  # of them, for the curvature
    trained_parameters: int
    statistics: dict[str, gradients.Statistics]  # by layer, and 'all'
    class_conflict: Float[np.ndarray, 'classes classes']
    eigenvalues: list[float]  # the largest of the Hessian, at most three
    trace: tuple[float, float]  # of the Hessian, and its standard error
    influenced: list[InfluencedCell]
    shortcuts: tuple[Shortcut, ...] = ()  # by which the training cells could be told without a look at them
    checkpoints: Sequence[str] = (MODEL,)  # at which the gradients were multiplied for the influence, in words


def summarize(
    run: TrainedNetwork,
    path: Path,
    images: Sequence[image_files.ImageFile],
    batch_size: int,
    progress: Callable[[str], None] = log.info,
    data: Path | None = None,
) -> Summary:
    """The summary of a run on its own data; UserError if its folder is none of a run, or its data are gone.

    `progress` is called with a sentence on each part before it begins. `data` is the folder of the run's cells, if they
    were moved.
    """
    plan, loaded = run_data.load(run, path, data)
    _, cells, parts, _ = loaded
    cells = preparation.of_cells(cells, run.card.cell_preparation)
    params, where = run.variables['params'], _trained(plan, run)

    def apply(params: Any, x: Array) -> Array:
        return run.model.apply({**run.variables, 'params': params}, x)

    loss = _loss(run, run.variables)
    pictures = held(taken(cells.images, parts.train), 'a summary, which takes the gradient of each training cell,')
    train = _prepared(run, pictures, batch_size), cells.labels[parts.train]
    progress(f'gradients of {len(parts.train)} training cells')
    statistics = gradients.gradient_statistics(loss, params, *train, batch_size=batch_size)
    classes = len(run.classes)
    by_class = gradients.class_gradients(loss, params, *train, classes=classes, batch_size=batch_size)
    conflict = np.asarray(gradients.gradient_similarity(by_class).conflict)
    del by_class
    chosen = np.unique(np.linspace(0, len(train[1]) - 1, min(CURVATURE_CELLS, len(train[1]))).astype(int))
    operator = gradients.curvature_operator(
        apply, params, train[0][chosen], train[1][chosen], where=where, batch_size=batch_size
    )
    steps = int(np.clip(LANCZOS_MEMORY // operator.like.size, 6, LANCZOS_STEPS))
    progress(
        f'curvature of {operator.like.size:,} parameters on {len(chosen)} of them: {steps + TRACE_PROBES} products'
    )
    key = jax.random.key(plan.seed)
    largest = gradients.eigenvalues(operator, min(3, operator.like.size), key=key, iterations=steps)
    trace = gradients.stochastic_trace(operator, key, TRACE_PROBES)
    asked = _asked(run, images) if images else _worst(run, cells, parts.test, batch_size)
    progress(f'influence of the training cells on {len(asked[0])} cells')
    names = [name for name in named(params) if re.fullmatch(where, name)]
    test = _prepared(run, asked[0], batch_size), asked[1]
    ways = _checkpoints(run, path)
    influence = sum(
        gradients.tracin(own, [one['params']], train, test, [1 / len(ways)], where=where, batch_size=batch_size)
        for one in ways.values()
        for own in [loss if set(one) == {'params'} else _loss(run, one)]
    )
    return Summary(
        training_cells=len(parts.train),
        curvature_cells=len(chosen),
        trained_parameters=sum(named(params)[name].size for name in names),
        statistics=statistics,
        class_conflict=conflict,
        eigenvalues=[float(value) for value in largest],
        trace=(float(trace[0]), float(trace[1])),
        influenced=_influences(run, cells, parts.train, asked, np.asarray(influence)),
        checkpoints=list(ways),
        shortcuts=training_shortcuts.measured(loaded),
    )


def check(path: Path, images: Sequence[image_files.ImageFile]) -> None:
    """UserError for a model that has trained on all cells, where no images are named: it has no test cells."""
    run = final_model.run_of(path)
    if not images and run_folder.earlier(run).get(run_folder.ALL_CELLS):
        raise UserError(
            f'{path}: its model has trained on all cells, so there are no test cells whose worst could be explained; '
            f'name images{final_model.or_a_fold(path)}'
        )


def as_json(run: TrainedNetwork, found: Summary) -> str:
    """summary.json: all numbers, without the pictures."""

    def plain(influences: list[Influence]) -> list[dict[str, Any]]:
        return [{'file': one.name, 'class': one.label, 'influence': one.influence} for one in influences]

    statistics = {
        layer: {name: None if np.isinf(value) else float(value) for name, value in row._asdict().items()}
        for layer, row in found.statistics.items()
    }
    influence = [
        {'file': one.name, 'class': one.label, 'probability': one.probability, 'helpful': plain(one.helpful),
         'harmful': plain(one.harmful)}
        for one in found.influenced
    ]  # fmt: skip
    content = {
        'network': run.model.name,
        'synthetic': run.card.synthetic,
        'training_cells': found.training_cells,
        'gradients': statistics,
        'class_conflict': {'labels': list(run.classes), 'matrix': found.class_conflict.tolist()},
        'curvature': {'cells': found.curvature_cells, 'parameters': found.trained_parameters,
                      'hessian_eigenvalues': found.eigenvalues,
                      'hessian_trace': found.trace[0], 'hessian_trace_standard_error': found.trace[1]},
        'influence': influence,
        'influence_checkpoints': list(found.checkpoints),
    }  # fmt: skip
    return json.dumps(content, indent=2) + '\n'


def _loss(run: TrainedNetwork, variables: Variables) -> gradients.typing.Loss:
    """The loss of parameters, with the running statistics of the variables beside them."""
    rest = {name: tree for name, tree in variables.items() if name != 'params'}

    def loss(params: Any, x: Array, y: Array) -> Array:
        return cross_entropy(run.model.apply({'params': params, **rest}, x), y)

    return loss


def _checkpoints(run: TrainedNetwork, path: Path) -> dict[str, Variables]:
    """The variables at the checkpoints that the run has kept, and those of its model, each once."""
    folder = final_model.run_of(path) / 'checkpoints'
    own = {
        f'step {step:,}': inputs.merge_trained(run.variables, tree['variables'])
        for step, tree in checkpoints.kept(folder)
    }

    def same(one: Variables, other: Variables) -> bool:
        return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), one, other)))

    earlier = {name: one for name, one in own.items() if not same(one['params'], run.variables['params'])}
    return {**earlier, MODEL: run.variables}


def _trained(plan: Plan, run: TrainedNetwork) -> str:
    """A pattern for the names of the parameters that the run trained."""
    names = learning_rate_factors.trained(run.variables['params'], plan.training.factors, plan.training.freeze)
    return '|'.join(map(re.escape, names))


def _prepared(run: TrainedNetwork, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Cells as the network takes them, on the host."""
    return np.asarray(batching.rows(partial(_ready, form=run.model.input), batch_size, images))


_ready = jax.jit(inference.prepared, static_argnames='form')


def _worst(run: TrainedNetwork, cells: Cells, test: np.ndarray, batch_size: int) -> tuple[Any, ...]:
    """Images, labels, names and probabilities, as the model says them, of the test cells with the greatest loss."""
    logits = inference.run(inference.make_logits(run.model), run.variables, cells.images, test, batch_size)
    shares = inference.probabilities(logits, run.whose)
    order = np.argsort(shares[np.arange(len(test)), cells.labels[test]], kind='stable')[:WORST_CELLS]
    chosen = test[order]
    labels = cells.labels[chosen]
    said = calibration.as_said(shares[order], run.card.calibration)[np.arange(len(chosen)), labels]
    return cells.images[chosen], labels, [cells.names[index] for index in chosen], said


def _asked(run: TrainedNetwork, images: Sequence[image_files.ImageFile]) -> tuple[Any, ...]:
    """The same of images from outside, with their predicted classes as labels."""
    pixels = np.stack([one.pixels for one in images])
    logits = inference.run(inference.make_logits(run.model), run.variables, pixels, np.arange(len(images)), len(images))
    chances = calibration.as_said(inference.probabilities(logits, run.whose), run.card.calibration)
    return pixels, chances.argmax(1), [str(one.path) for one in images], chances.max(1)


def _influences(
    run: TrainedNetwork,
    cells: Cells,
    train: np.ndarray,
    asked: tuple[Any, ...],
    influence: Float[np.ndarray, 'asked train'],
) -> list[InfluencedCell]:
    def influences(row: np.ndarray, order: np.ndarray) -> list[Influence]:
        return [
            Influence(cells.names[train[i]], cells.images[train[i]], run.classes[cells.labels[train[i]]], float(row[i]))
            for i in order
        ]

    found = []
    for image, label, name, chance, row in zip(*asked, influence, strict=True):
        order = np.argsort(-row, kind='stable')
        helpful, harmful = (chosen[:SHOWN_INFLUENCES] for chosen in (order, order[::-1]))
        found.append(
            InfluencedCell(name, image, run.classes[int(label)], float(chance),
                           influences(row, helpful[row[helpful] > 0]), influences(row, harmful[row[harmful] < 0]))
        )  # fmt: skip
    return found
