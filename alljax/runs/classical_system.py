"""A run of a classical system: its features, its classifier, its model folder, and how well it finds the cell."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from sklearn.base import BaseEstimator

from alljax.baselines import classifier_file, extraction, model_selection, segmentation_scores
from alljax.baselines.extraction import Rows
from alljax.baselines.features import NETWORK
from alljax.baselines.segmentation_scores import SegmentationScores
from alljax.baselines.systems import SYSTEMS, WHOLE, System
from alljax.config.plan import Plan
from alljax.data import training_likeness
from alljax.data.cells import Cells
from alljax.data.split import Split, equalize
from alljax.errors import UserError
from alljax.evaluation import segmentation_outlines
from alljax.models import Model, NetworkSpec, Variables
from alljax.runs import data_check, initial_variables, model_check, network
from alljax.runs.results import TestOutput
from alljax.storage import cache, model_folder
from alljax.storage.card import Card
from alljax.storage.json_records import read_record
from alljax.training import frozen_features, inference

log = logging.getLogger(__name__)
SHOWN = 18  # cells on the sheet of outlines
CLASSIFIER, BODY = 'classifier.skops', 'network'

Images = UInt8[np.ndarray, 'cells height width 3']


class Body(NamedTuple):
    """A pretrained network without its last layers, and how it was asked for."""

    model: Model
    variables: Variables
    spec: NetworkSpec


class Classical(NamedTuple):
    """A fitted system with all that prediction needs."""

    system: System
    estimator: BaseEstimator
    body: Body | None  # for the features of a network
    card: Card

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the probabilities."""
        return self.card.classes


def fit(plan: Plan, cells: Cells, parts: Split, folder: Path) -> Classical:
    """The system of a plan, fitted to the training cells and kept in the folder's model/."""
    run = fitted(plan, cells, parts)
    save(run, folder / 'model')
    return run


def fitted(plan: Plan, cells: Cells, parts: Split, *, keep: bool = True) -> Classical:
    """The system's classifier, fitted to the training cells, and to those of a validation fold, which it needs not.

    The card holds the `model` and `train` parts of results.json. `keep` is that of `measured`.
    """
    if plan.system is None:
        raise UserError(f"config.baseline.system is ''; it may be {', '.join(SYSTEMS)}")
    began, (name, system) = time.monotonic(), plan.system
    body, source = _body(plan) if NETWORK in system.features else (None, '')
    log.info('%s: %s', name, system)
    side = np.concatenate([parts.train, parts.validation])
    how = 'oversample' if plan.training.equalize == 'weights' else plan.training.equalize
    index = equalize(cells.labels, side, how, plan.seed)
    rows = measured(system, body, cells.take(side).images, plan.batch_size, keep=keep)
    ordered = np.argsort(side)[np.searchsorted(np.sort(side), index)]  # where in `rows` the cells of `index` are
    chosen = model_selection.fitted(
        system, rows.values[ordered], cells.labels[index], cells.groups[index], cells.classes, plan.seed
    )
    train = {
        'cells_an_epoch': len(index),
        'seconds': round(time.monotonic() - began, 1),
        'nothing_found': int(np.count_nonzero(~rows.found[ordered])),
        'features': rows.values.shape[1],
        'chosen': chosen.chosen,
    }
    said = {'network': body.model.name, 'init': source} if body else {}
    card = Card(
        classes=cells.classes,
        system=system._asdict(),
        batch_size=plan.batch_size,
        data_size=plan.data.size,
        denoise=plan.data.denoise,
        cell_preparation=plan.preparation,
        synthetic=cells.origin.synthetic,
        fingerprint=cells.origin.fingerprint,
        seed=plan.seed,
        pictures=training_likeness.of_cells(cells, side),
        model={'name': name, 'parts': str(system), **said},
        train=train,
    )
    return Classical(system, chosen.estimator, body, card)


def measured(system: System, body: Body | None, images: Images, batch_size: int, *, keep: bool = True) -> Rows:
    """The features of pictures; with `keep` they are looked for in the user's cache, and kept there."""
    found = extraction.rows(system, images, cache.folder('baselines') if keep else None)
    if body is None:
        return found
    if keep:
        about = {**body.spec.options, 'averaged': True}
        rows = frozen_features.features(body.model, body.variables, about, images, batch_size, cache.folder('features'))
    else:
        every = np.arange(len(images))
        rows = inference.run(inference.make_logits(body.model), body.variables, images, every, batch_size)
    return found._replace(values=np.concatenate([found.values, rows], 1))


def probabilities(run: Classical, values: Float[np.ndarray, 'cells features']) -> Float[np.ndarray, 'cells classes']:
    """The chance of each class; a class that training never saw has none."""
    found = np.zeros((len(values), len(run.classes)))
    whose = run.card.model.get('name', 'the system')
    found[:, run.estimator.classes_] = run.estimator.predict_proba(inference.finite(values, whose))
    return inference.finite(found, whose)


def predictor(run: Classical) -> Callable[[Images, int], Float[np.ndarray, 'cells classes']]:
    """The function from images and a batch size to the probability of each class."""

    def predict(images: Images, batch_size: int) -> Float[np.ndarray, 'cells classes']:
        return probabilities(run, measured(run.system, run.body, images, batch_size, keep=False).values)

    return predict


def score(run: Classical, plan: Plan, cells: Cells, parts: Split, folder: Path) -> TestOutput:
    """The log-probabilities of the test cells, how well they were segmented, and what the run says about itself."""
    data_check.same_data(run.card.fingerprint, cells, folder)
    test = cells.take(parts.test)
    rows = measured(run.system, run.body, test.images, plan.batch_size)
    segmentation, figures = score_segmentation(run, rows, test, folder)
    found = {
        'model': run.card.model,
        'train': run.card.train,
        'segmentation': segmentation,
        'seconds_a_cell': seconds_a_cell(run, rows, test.images),
    }
    return TestOutput(found, np.log(np.maximum(probabilities(run, rows.values), 1e-12)), figures)


def seconds_a_cell(run: Classical, rows: Rows, images: Images) -> dict[str, float]:
    """Seconds for segmenting, measuring and classifying a cell; what a network does takes all cores, the rest one."""
    network = 0.0
    if run.body:
        batch = jnp.asarray(images[: run.card.batch_size])
        network = inference.seconds_a_cell(inference.make_logits(run.body.model), run.body.variables, batch)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        run.estimator.predict_proba(rows.values)
        times.append(time.perf_counter() - began)
    return {
        'segmentation': rows.segmentation,
        'features': rows.features + network,
        'prediction': float(np.median(times)) / len(images),
    }


def score_segmentation(
    run: Classical, rows: Rows, test: Cells, workdir: Path
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The `segmentation` part of results.json, and the sheet of the worst test cells, if the system looks for cells.

    The sheet shows first the cells in which nothing was found, then those least like the truth, which is not known of
    cells that were cropped.
    """
    said: dict[str, Any] = {'nothing_found_in_test': float(np.mean(~rows.found))}
    found = None
    if run.system.segment != WHOLE:
        found = segmentation_scores.score(run.system, test, truth=not run.card.cell_preparation.crop)
    if not found or not found.found:
        return said, {}
    draw_worst(found, workdir / 'segmentation.png')
    order = 'the worst first' if any(found.truth) else 'any in which nothing was found first'
    figures = {f'Segmentation of the test cells, {order}': workdir / 'segmentation.png'}
    return {**said, **segmentation_scores.summary(found)}, figures


def draw_worst(found: SegmentationScores, path: Path, title: str = '') -> None:
    """Writes the sheet of the worst cells."""
    segmentation_outlines.write_sheet([_outlined(found, place) for place in found.worst(SHOWN)], path, title=title)


def save(run: Classical, folder: Path) -> None:
    """Writes the model folder."""
    with model_folder.replaced(folder, run.card) as part:
        classifier_file.write(part / CLASSIFIER, run.estimator)
        if run.body:
            card = Card(classes=(), network=run.body.spec, input=run.body.model.input)
            model_folder.write(part / BODY, run.body.variables, card)


def load(path: Path) -> Classical:
    """The system in a run folder, or in its model/ folder; UserError if there is none."""
    folder = model_folder.find(path)
    card = model_folder.read_card(folder)
    if card.system is None:
        raise UserError(f'{path}: holds a network; expected a classical system')
    model_check.known_preparation(card, folder)
    model_folder.check_files(folder)
    system = read_record(System, card.system, folder / model_folder.CARD, 'system.')
    body = None
    if NETWORK in system.features:
        saved = network.load(folder / BODY)
        spec, _ = saved.card.expect_network(folder / BODY)
        body = Body(saved.model, saved.variables, spec)
    return Classical(system, classifier_file.read(folder / CLASSIFIER), body, card)


def _body(plan: Plan) -> tuple[Body, str]:
    """The network that the plan names, without its last layers, and where its variables come from."""
    spec = plan.network.without_head()
    if spec.cut(1) is None:
        raise UserError(
            f'config.model.name={spec.name}: is no linen module, so its last layers cannot be left out; '
            "choose another, or leave 'network' out of config.baseline.features"
        )
    model = spec.create(0)
    variables, how = initial_variables.first_variables(plan, model, ())
    return Body(model, variables, spec), how


def _outlined(found: SegmentationScores, place: int) -> segmentation_outlines.OutlinedCell:
    parts, known = found.found[place], found.truth[place]
    words = [found.cells.names[place].rpartition('/')[2]]
    if not parts.found:
        words.append('nothing found')
    elif known is not None:
        words.append('Dice: nucleus {:.2f}, cell {:.2f}'.format(*found.scores[place, :2]))
    masks: Sequence[Any] = (known.nucleus, known.cell) if known else ()
    image, caption = found.cells.images[place], '\n'.join(words)
    return segmentation_outlines.OutlinedCell(image, (parts.nucleus, parts.cell), masks, caption)
