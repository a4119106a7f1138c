"""A run of a classical system: its features, its classifier, its model folder, and how well it finds the cell."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Integer
from sklearn.base import BaseEstimator

from alljax.baselines import classifier_file, extraction, model_selection, standardization
from alljax.baselines.extraction import Rows
from alljax.baselines.features import NETWORK
from alljax.baselines.standardization import Standardization
from alljax.baselines.systems import SYSTEMS, System
from alljax.config.plan import Plan
from alljax.data import training_likeness
from alljax.data.cells import Cells
from alljax.data.split import Index, Split, equalize
from alljax.errors import UserError
from alljax.runs import (
    backbones,
    data_check,
    initial_variables,
    model_check,
    network,
    prediction_views,
    segmentation_sheet,
    transduction,
)
from alljax.runs.backbones import Body
from alljax.runs.kind import NO_CHANCE
from alljax.runs.prediction_views import Predict
from alljax.runs.results import TestOutput
from alljax.storage import cache, model_folder
from alljax.storage.atomic import write_whole
from alljax.storage.card import Card
from alljax.storage.image_preparation import SEGMENTATIONS
from alljax.storage.json_records import read_record
from alljax.storage.streamed_pictures import Pictures, held
from alljax.training import frozen_features, inference

log = logging.getLogger(__name__)
CLASSIFIER, STANDARD, SEGMENTATION = 'classifier.skops', 'standardization.npz', 'unet.safetensors'


class Classical(NamedTuple):
    """A fitted system with all that prediction needs."""

    system: System
    estimator: BaseEstimator
    bodies: tuple[Body, ...]  # for the features of networks
    card: Card
    standard: Standardization | None = None  # of the features; None where the classifier has its own

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the probabilities."""
        return self.card.classes


def fit(plan: Plan, cells: Cells, parts: Split, folder: Path) -> Classical:
    """The system of a plan, fitted to the training cells and kept in the folder's model/."""
    run = fitted(plan, cells, parts)
    pictures = training_likeness.of_cells(cells, training_side(plan, parts))
    run = run._replace(card=replace(run.card, pictures=pictures))
    save(run, folder / 'model')
    return run


def training_side(plan: Plan, parts: Split) -> Index:
    """The cells that a system is fitted to: those of a validation fold too, unless something is measured on it."""
    return parts.train if plan.calibration.keeps_validation else np.concatenate([parts.train, parts.validation])


def fitted(plan: Plan, cells: Cells, parts: Split, *, keep: bool = True) -> Classical:
    """The system's classifier, fitted to the training cells, and to a validation fold that nothing is measured on.

    The card holds the `model` and `train` parts of results.json. `keep` is that of `measured`.
    """
    if plan.system is None:
        raise UserError(f"config.baseline.system is ''; it may be {', '.join(SYSTEMS)}")
    began, (name, system) = time.monotonic(), plan.system
    if system.standardize == 'slide':
        transduction.need_slides(cells, 'config.baseline.standardize', system.standardize)
    bodies, sources = backbones.of_plan(plan) if NETWORK in system.features else ((), ())
    log.info('%s: %s', name, system)
    side = training_side(plan, parts)
    how = 'oversample' if plan.training.equalize == 'weights' else plan.training.equalize
    index = equalize(cells.labels, side, how, plan.seed)
    trained = cells.take(side)
    rows = measured(system, bodies, trained.images, plan.batch_size, keep=keep)
    values, standard = rows.values, None
    if system.networks or system.standardize != 'training':
        standard = standardization.fitted(values, rows.blocks)
        unit = system.standardize
        sets = transduction.sets_of(trained, unit).members if unit != 'training' else []
        values = standardization.by_set(standard, values, sets) if sets else standard.apply(values)
    ordered = np.argsort(side)[np.searchsorted(np.sort(side), index)]  # where in `rows` the cells of `index` are
    chosen = model_selection.fitted(
        system, values[ordered], cells.labels[index], cells.groups[index], cells.classes, plan.seed
    )
    learned = np.unique(ordered)  # undersampling leaves some out
    likely = chosen.estimator.classes_[chosen.estimator.predict_proba(values[learned]).argmax(1)]
    train = {
        'accuracy': float(np.mean(likely == trained.labels[learned])),
        'cells_an_epoch': len(index),
        'seconds': round(time.monotonic() - began, 1),
        'nothing_found': int(np.count_nonzero(~rows.found[ordered])),
        'features': rows.values.shape[1],
        'chosen': chosen.chosen,
    }
    seen = initial_variables.trained_on(plan) if bodies else ()
    said = {'network': ', '.join(body.model.name for body in bodies), 'init': ', '.join(sources)} if bodies else {}
    about_sets = {'trained_on': list(seen)} if seen else {}
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
        trained_on=initial_variables.with_source(seen, plan, cells.origin),
        model={'name': name, 'parts': str(system), **said, **about_sets},
        train=train,
        transductive=system.standardize if system.standardize != 'training' else '',
        views=plan.views,
    )
    return Classical(system, chosen.estimator, bodies, card, standard)


class Features(NamedTuple):
    """All features of cells, hand-made ones first, then those of each network."""

    values: Float[np.ndarray, 'cells features']
    blocks: tuple[int, ...]  # columns of the hand-made features, and of each network
    hand_made: Rows

    @property
    def found(self) -> Bool[np.ndarray, ' cells']:
        """True where the segmentation found a cell."""
        return self.hand_made.found


def measured(
    system: System, bodies: Sequence[Body], images: Pictures, batch_size: int, *, keep: bool = True
) -> Features:
    """The features of pictures; with `keep` they are looked for in the user's cache, and kept there."""
    images = held(images, 'a classical system')
    rows = extraction.rows(system, images, cache.folder('baselines') if keep else None)
    blocks = [rows.values, *(_of_network(body, images, batch_size, keep=keep) for body in bodies)]
    return Features(np.concatenate(blocks, 1) if bodies else rows.values, tuple(b.shape[1] for b in blocks), rows)


def _of_network(body: Body, images: Pictures, batch_size: int, *, keep: bool) -> Float[np.ndarray, 'cells features']:
    if keep:
        about = {**body.spec.options, 'averaged': True}
        return frozen_features.features(body.model, body.variables, about, images, batch_size, cache.folder('features'))
    every = np.arange(len(images))
    return inference.run(inference.make_logits(body.model), body.variables, images, every, batch_size)


def probabilities(run: Classical, values: Float[np.ndarray, 'cells features']) -> Float[np.ndarray, 'cells classes']:
    """The chance of each class; a class that training never saw has none."""
    found = np.zeros((len(values), len(run.classes)))
    whose = run.card.model.get('name', 'the system')
    values = run.standard.apply(values) if run.standard else values
    found[:, run.estimator.classes_] = run.estimator.predict_proba(inference.finite(values, whose))
    return inference.finite(found, whose)


def predictor(run: Classical, *, keep: bool = False) -> Predict:
    """The function from images and a batch size to the probability of each class, averaged over the views of its card.

    `keep` is that of `measured`.
    """

    def predict(images: Pictures, batch_size: int) -> Float[np.ndarray, 'cells classes']:
        return probabilities(run, measured(run.system, run.bodies, images, batch_size, keep=keep).values)

    return prediction_views.averaged(predict, run.card)


def adapted(run: Classical, images: Pictures) -> Classical:
    """The system with the standardization of the images that it will be asked about, if it was tested so."""
    if not run.card.transductive or len(images) < 2:
        return run
    batch_size = run.card.batch_size or len(images)
    return of_set(run, measured(run.system, run.bodies, images, batch_size, keep=False).values)


def of_set(run: Classical, values: Float[np.ndarray, 'cells features']) -> Classical:
    """The system with the standardization of a slide or set of these features."""
    return run._replace(standard=run.standard.of_set(values)) if run.standard else run


def score(run: Classical, plan: Plan, cells: Cells, parts: Split, folder: Path) -> TestOutput:
    """The log-probabilities of the test cells, how well they were segmented, and what the run says about itself."""
    data_check.same_data(run.card.fingerprint, cells, folder)
    test = cells.take(parts.test)
    rows = measured(run.system, run.bodies, test.images, plan.batch_size)
    cropped = bool(run.card.cell_preparation.crop)
    segmentation, figures = segmentation_sheet.score(run.system, rows.hand_made, test, folder, cropped=cropped)
    found: dict[str, Any] = {
        'model': run.card.model,
        'train': run.card.train,
        'segmentation': segmentation,
        'seconds_a_cell': seconds_a_cell(run, rows, test.images),
        **prediction_views.about(run.card),
    }

    def ask(run: Classical, places: Integer[np.ndarray, ' _']) -> Float[np.ndarray, '_ classes']:
        if run.card.views:
            return predictor(run, keep=True)(test.images[places], plan.batch_size)
        return probabilities(run, rows.values[places])

    if run.card.transductive:
        sets, shares = transduction.sets_of(test, run.card.transductive), np.empty((len(test), len(run.classes)))
        for places in sets.members:
            shares[places] = ask(of_set(run, rows.values[places]), places)
        found['transductive'] = transduction.about('features: the mean and deviation', run.card.transductive, sets)
    else:
        shares = ask(run, np.arange(len(test)))
    return TestOutput(found, np.log(np.maximum(shares, NO_CHANCE)), figures)


def seconds_a_cell(run: Classical, rows: Features, images: Pictures) -> dict[str, float]:
    """Seconds for segmenting, measuring and classifying a cell; what a network does takes all cores, the rest one.

    Of a prediction from several views each is that of all of them.
    """
    network = 0.0
    for body in run.bodies:
        batch = jnp.asarray(images[: run.card.batch_size])
        network += inference.seconds_a_cell(inference.make_logits(body.model), body.variables, batch)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        run.estimator.predict_proba(rows.values)
        times.append(time.perf_counter() - began)
    views = run.card.views.pictures if run.card.views else 1
    return {
        'segmentation': views * rows.hand_made.segmentation,
        'features': views * (rows.hand_made.features + network),
        'prediction': views * float(np.median(times)) / len(images),
    }


def save(run: Classical, folder: Path) -> None:
    """Writes the model folder."""
    with model_folder.replaced(folder, run.card) as part:
        classifier_file.write(part / CLASSIFIER, run.estimator)
        if run.system.weights:
            write_whole(part / SEGMENTATION, Path(run.system.weights).read_bytes())
        if run.standard:
            np.savez(part / STANDARD, **run.standard._asdict())
        for place, body in zip(backbones.folders(run.system), run.bodies, strict=False):
            card = Card(classes=(), network=body.spec, input=body.model.input)
            model_folder.write(part / place, body.variables, card)


def load(path: Path) -> Classical:
    """The system in a run folder, or in its model/ folder; UserError if there is none."""
    folder = model_folder.find(path)
    card = model_folder.read_card(folder)
    if card.system is None:
        raise UserError(f'{path}: holds a network; expected a classical system')
    model_check.known_preparation(card, folder)
    model_folder.check_files(folder)
    values = {'segmentation': SEGMENTATIONS[0], **card.system}  # release 0.1 had one version, and no word for it
    system = read_record(System, values, folder / model_folder.CARD, 'system.')
    model_check.known_segmentation(system.segmentation, 'system', folder)
    if system.weights:  # a run keeps its own copy
        system = system._replace(weights=str(folder / SEGMENTATION))
    bodies = []
    for place in backbones.folders(system) if NETWORK in system.features else ():
        saved = network.load(folder / place)
        spec, _ = saved.card.expect_network(folder / place)
        bodies.append(Body(saved.model, saved.variables, spec))
    estimator = classifier_file.read(folder / CLASSIFIER)
    return Classical(system, estimator, tuple(bodies), card, _read_standard(system, folder))


def _read_standard(system: System, folder: Path) -> Standardization | None:
    """The standardization beside a classifier, if the system has one; UserError for a damaged one."""
    if not system.networks and system.standardize == 'training':
        return None
    try:
        with np.load(folder / STANDARD, allow_pickle=False) as arrays:
            return Standardization(**{name: arrays[name] for name in Standardization._fields})
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f'{folder / STANDARD}: cannot be read ({error}); {model_folder.AGAIN}') from None
