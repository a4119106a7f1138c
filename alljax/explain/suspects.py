"""The training cells of a run whose label the others contradict most, and the cells that do so.

A linear head on the features that the run's network has before its last layers is fitted without a tenth of the cells
at a time, and asked about these: a wrong label is one that it does not foresee. The harness of
tests/benchmarks/influence.py found no measure of influence that finds wrong labels better.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from alljax.data.cells import Cells
from alljax.data.image import RgbImage
from alljax.errors import UserError
from alljax.evaluation import calibration
from alljax.explain import linear_head, run_data
from alljax.explain.run_data import RunData
from alljax.models import is_linen
from alljax.runs import network, preparation
from alljax.runs.network import TrainedNetwork
from alljax.storage.text_files import csv_text
from alljax.training import inference, inputs, learning_rate_factors

LEAST = 20  # training cells: with fewer the folds teach nothing
SHARE, MOST = 0.05, 24  # of the cells are shown on the page, and so many at most
AGAINST, FOR = 4, 2  # cells that are shown beside a suspect
COLUMNS = ('rank', 'file', 'label', 'suggested', 'score', 'probability_of_label', 'probability_of_suggested',
           'prediction_of_run', 'probability_of_prediction', 'repeats', 'contradicted_by')  # fmt: skip

log = logging.getLogger(__name__)


class Neighbor(NamedTuple):
    """A training cell that bears on a suspect's label."""

    name: str
    image: RgbImage
    label: str
    influence: float  # on the suspect's loss, for a gradient of length 1: below 0 it contradicts the label
    repeat: bool  # another picture of the same cell


class Suspect(NamedTuple):
    """A training cell, and what the others say of it."""

    name: str
    image: RgbImage
    label: str
    suggested: str  # the class that a head fitted without it gives, of those that are not its label
    probability: float  # that the head gives to the label
    suggested_probability: float
    said: str  # by the run itself, which has trained on it
    said_probability: float
    repeats: list[str]  # other pictures of the same cell, with their labels
    against: list[Neighbor]  # of other classes that contradict its label, and that its label makes worse
    beside: list[Neighbor]  # of its class that support it

    @property
    def score(self) -> float:
        """The loss of its label, in nats: greater is more suspect."""
        return float(-np.log(max(self.probability, np.finfo(float).tiny)))


class Suspects(NamedTuple):
    """All training cells of a run, the most suspect first; the first few with their neighbors."""

    cells: list[Suspect]
    shown: int  # how many have neighbors
    foreseen: float  # the part of the labels that the heads foresaw
    doubted: int  # cells of which they were surer of another class than of the label
    notes: list[str]


class Table(NamedTuple):
    """The training cells with their features, and what the run and the heads say of them."""

    cells: Cells
    features: Float[np.ndarray, 'cells features']
    said: Float[np.ndarray, 'cells classes']  # by the run
    foreseen: Float[np.ndarray, 'cells classes']  # by heads that did not train on the cell
    ridge: float


def find(
    run: TrainedNetwork, path: Path, batch_size: int, progress: Callable[[str], None] = log.info,
    data: Path | None = None,
) -> Suspects:  # fmt: skip
    """The training cells of a run, by how little the others foresee their label.

    `progress` is called with a sentence on each part before it begins; `data` is the folder of the run's cells, if they
    were moved. UserError for a network that cannot be cut before its last layers, a run whose data are gone, and one of
    too few training cells.
    """
    check(run, path)
    known = run_data.load(run, path, data)
    cells = training_cells(known, path)
    cells = preparation.of_cells(cells, run.card.cell_preparation)
    notes = _notes(run, known, cells)
    progress(f'features of {len(cells)} training cells')
    table = _table(run, known, cells, batch_size, progress)
    return ranked(run.classes, table, notes, progress)


def ranked(
    classes: tuple[str, ...], table: Table, notes: list[str], progress: Callable[[str], None] = log.info
) -> Suspects:
    """The training cells of a table, the most suspect first."""
    cells = table.cells
    order = np.argsort(table.foreseen[np.arange(len(cells)), cells.labels], kind='stable')
    shown = min(MOST, max(int(np.ceil(SHARE * len(cells))), 1))
    progress(f'cells that contradict the {shown} most suspect labels')
    influence = linear_head.relative_influence(table.features, cells.labels, len(classes), table.ridge, order[:shown])
    found = [
        _suspect(classes, table, cell, influence[place] if place < shown else None)
        for place, cell in enumerate(order.tolist())
    ]
    right = table.foreseen.argmax(1) == cells.labels
    return Suspects(found, shown, float(right.mean()), int((~right).sum()), notes)


def check(run: TrainedNetwork, path: Path) -> None:
    """UserError for a network that cannot be cut before its last layers, or that has no classes."""
    spec, _ = run.card.expect_network(path)
    if len(run.classes) < 2:
        raise UserError(f'{path}: knows {len(run.classes)} classes, so no label could be another; name a run of two')
    if not is_linen(run.model) or spec.cut(len(run.classes)) is None:
        raise UserError(
            f'{path}: {run.model.name} is no linen module, so it cannot be cut before its last layers; '
            '--suspects needs the features there'
        )


def training_cells(known: RunData, path: Path) -> Cells:
    """The cells that train or choose, each once: without copies, and without those of a second set."""
    cells = known.cells.sources.take(known.cells.trained())
    counts = np.bincount(cells.labels, minlength=len(cells.classes))
    if len(cells) < LEAST or (counts > 1).sum() < 2:
        raise UserError(
            f'{path}: has {len(cells)} training cells, of {(counts > 1).sum()} classes with two or more; expected '
            f'{LEAST}, of two classes, or their labels cannot be told apart from chance'
        )
    return cells


def as_csv(found: Suspects) -> str:
    """A line for each training cell, the most suspect first."""
    rows = [
        [place, one.name, one.label, one.suggested, f'{one.score:.4f}', f'{one.probability:.6f}',
         f'{one.suggested_probability:.6f}', one.said, f'{one.said_probability:.6f}', '; '.join(one.repeats),
         '; '.join(neighbor.name for neighbor in one.against)]
        for place, one in enumerate(found.cells, 1)
    ]  # fmt: skip
    return csv_text(COLUMNS, rows)


def _notes(run: TrainedNetwork, known: RunData, cells: Cells) -> list[str]:
    """The limits of the answer, in sentences."""
    params, training = run.variables['params'], known.plan.training
    notes = []
    if not learning_rate_factors.head_only(learning_rate_factors.trained(params, training.factors, training.freeze)):
        notes.append(
            'The run trained more than its last layers, so the features of these cells may have bent to their labels, '
            'right or wrong: fewer wrong ones are found than with frozen layers (--config.freeze).'
        )
    if known.cells.second is not None and len(known.cells.second.train):
        notes.append(
            f'The {len(known.cells.second.train)} cells of the second set that trained, too, are not looked at.'
        )
    absent = [name for name, count in cells.counts().items() if not count]
    if absent:
        notes.append(f'No training cell is of the class {" or ".join(absent)}.')
    return notes


def _table(
    run: TrainedNetwork, known: RunData, cells: Cells, batch_size: int, progress: Callable[[str], None]
) -> Table:
    spec, form = run.card.expect_network(Path(run.whose))
    halves = spec.cut(len(run.classes))
    assert halves is not None  # `check` has looked
    body, head = (half._replace(input=form) for half in halves)
    run = network.adapted(run, cells.images)
    training = known.plan.training
    trained = learning_rate_factors.trained(run.variables['params'], training.factors, training.freeze)
    if learning_rate_factors.head_only(trained):  # those of training are in the cache
        rows = np.asarray(inputs.body_features(spec, body, run.variables, cells.images, batch_size))
    else:
        every = np.arange(len(cells))
        rows = inference.run(inference.make_logits(body), run.variables, cells.images, every, batch_size)
    rows = inference.finite(rows, run.whose)
    logits = np.concatenate(
        [
            np.asarray(head.apply(run.variables, jnp.asarray(rows[i : i + batch_size])))
            for i in range(0, len(rows), batch_size)
        ]
    )
    said = calibration.as_said(inference.probabilities(logits, run.whose), run.card.calibration)
    features = linear_head.standardized(rows)
    progress(f'{linear_head.FOLDS} heads, each fitted without a tenth of the cells')
    return Table(cells, features, said, *linear_head.foreseen(features, cells, len(run.classes)))


def _suspect(classes: tuple[str, ...], table: Table, cell: int, influence: np.ndarray | None) -> Suspect:
    cells = table.cells
    others = table.foreseen[cell].copy()
    others[cells.labels[cell]] = -1
    suggested, said = int(others.argmax()), int(table.said[cell].argmax())
    same = (cells.repeats == cells.repeats[cell]) & (cells.repeats[cell] >= 0)
    same[cell] = False
    against: list[Neighbor] = []
    beside: list[Neighbor] = []
    if influence is not None:
        order = np.argsort(influence, kind='stable')
        same_label = cells.labels[order] == cells.labels[cell]
        contradicting, supporting = order[~same_label], order[same_label & (order != cell)][::-1]

        def neighbors(chosen: np.ndarray) -> list[Neighbor]:
            return [
                Neighbor(cells.names[i], cells.images[i], classes[cells.labels[i]], float(influence[i]), bool(same[i]))
                for i in chosen
            ]

        against = neighbors(contradicting[:AGAINST][influence[contradicting[:AGAINST]] < 0])
        beside = neighbors(supporting[:FOR][influence[supporting[:FOR]] > 0])
    return Suspect(
        cells.names[cell], cells.images[cell], classes[cells.labels[cell]], classes[suggested],
        float(table.foreseen[cell, cells.labels[cell]]), float(table.foreseen[cell, suggested]),
        classes[said], float(table.said[cell, said]),
        [f'{cells.names[i]} ({classes[cells.labels[i]]})' for i in np.flatnonzero(same)], against, beside,
    )  # fmt: skip
