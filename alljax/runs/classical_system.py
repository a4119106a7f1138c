"""A run of a classical system: its features, its classifier, its model folder, and how well it finds the cell."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator

from alljax import models
from alljax.baselines import classifier_file, extraction, model_selection, segmentation_scores
from alljax.baselines.extraction import Rows
from alljax.baselines.features import NETWORK
from alljax.baselines.segmentation_scores import Judged
from alljax.baselines.systems import WHOLE, System, assembled
from alljax.config.resolve import Setting
from alljax.data.cells import Cells
from alljax.data.split import Split, equalize
from alljax.errors import UserError
from alljax.evaluation import outlines
from alljax.models import Model, Variables
from alljax.runs import trained
from alljax.storage import cache, checkpoints
from alljax.training import frozen_features, inference
from alljax.training.inputs import network_options

log = logging.getLogger(__name__)
SHOWN = 18  # cells on the sheet of outlines
CLASSIFIER, BODY = 'classifier.skops', 'network'

Images = UInt8[np.ndarray, 'cells height width 3']


class Body(NamedTuple):
    """A pretrained network without its last layers, and the options that made it."""

    model: Model
    variables: Variables
    options: dict[str, Any]


class Classical(NamedTuple):
    """A fitted system with all that prediction needs."""

    system: System
    estimator: BaseEstimator
    body: Body | None  # for the features of a network
    classes: tuple[str, ...]
    facts: dict[str, Any]


def system_of(config: ConfigDict) -> System:
    """The system that a config's `baseline` fields ask for."""
    parts = config.baseline.to_dict()
    return assembled(parts.pop('system'), parts)


def fit(setting: Setting, cells: Cells, parts: Split, *, keep: bool = True) -> Classical:
    """The system's classifier, fitted to the training cells, and to those of a validation fold, which it needs not.

    The facts hold the `model` and `train` parts of results.json. `keep` is that of `measured`.
    """
    config, start = setting.config, time.monotonic()
    system = system_of(config)
    body, source = _body(setting) if NETWORK in system.features else (None, '')
    log.info('%s: %s', config.baseline.system, system)
    side = np.concatenate([parts.train, parts.validation])
    how = 'oversample' if config.data.equalize == 'weights' else config.data.equalize
    index = equalize(cells.labels, side, how, config.seed)
    rows = measured(system, body, cells.take(side).images, config.batch_size, keep=keep)
    ordered = np.argsort(side)[np.searchsorted(np.sort(side), index)]  # where in `rows` the cells of `index` are
    fitted = model_selection.fitted(
        system, rows.values[ordered], cells.labels[index], cells.groups[index], cells.classes, config.seed
    )
    train = {
        'cells_an_epoch': len(index),
        'seconds': round(time.monotonic() - start, 1),
        'nothing_found': int(np.count_nonzero(~rows.found[ordered])),
        'features': rows.values.shape[1],
        'chosen': fitted.chosen,
    }
    network = {'network': body.model.name, 'init': source} if body else {}
    facts = {
        'system': system._asdict(),
        'classes': list(cells.classes),
        'data_size': config.data.size,
        'denoise': config.data.denoise,
        'synthetic': cells.origin.synthetic,
        'batch_size': config.batch_size,
        'model': {'name': config.baseline.system, 'parts': str(system), **network},
        'train': train,
    }
    return Classical(system, fitted.estimator, body, cells.classes, facts)


def measured(system: System, body: Body | None, images: Images, batch_size: int, *, keep: bool = True) -> Rows:
    """The features of pictures; with `keep` they are looked for in the user's cache, and kept there."""
    found = extraction.rows(system, images, cache.folder('baselines') if keep else None)
    if body is None:
        return found
    if keep:
        about = {**body.options, 'averaged': True}
        rows = frozen_features.features(body.model, body.variables, about, images, batch_size, cache.folder('features'))
    else:
        every = np.arange(len(images))
        rows = inference.run(inference.make_logits(body.model), body.variables, images, every, batch_size)
    return found._replace(values=np.concatenate([found.values, rows], 1))


def probabilities(run: Classical, values: Float[np.ndarray, 'cells features']) -> Float[np.ndarray, 'cells classes']:
    """The chance of each class; a class that training never saw has none."""
    found = np.zeros((len(values), len(run.classes)))
    found[:, run.estimator.classes_] = run.estimator.predict_proba(values)
    return found


def predict(run: Classical, images: Images) -> Float[np.ndarray, 'cells classes']:
    """The chance of each class for pictures as the run takes them."""
    return probabilities(run, measured(run.system, run.body, images, run.facts['batch_size'], keep=False).values)


def seconds_a_cell(run: Classical, rows: Rows, images: Images) -> dict[str, float]:
    """Seconds for segmenting, measuring and classifying a cell; what a network does takes all cores, the rest one."""
    network = 0.0
    if run.body:
        batch = jnp.asarray(images[: run.facts['batch_size']])
        network = inference.seconds_a_cell(inference.make_logits(run.body.model), run.body.variables, batch)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run.estimator.predict_proba(rows.values)
        times.append(time.perf_counter() - start)
    return {
        'segmentation': rows.segmentation,
        'features': rows.features + network,
        'prediction': float(np.median(times)) / len(images),
    }


def judge(system: System, rows: Rows, test: Cells, workdir: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """The `segmentation` part of results.json, and the sheet of the worst test cells, if the system looks for cells.

    The sheet shows first the cells in which nothing was found, then those least like the truth.
    """
    said: dict[str, Any] = {'nothing_found_in_test': float(np.mean(~rows.found))}
    found = None if system.segment == WHOLE else segmentation_scores.judge(system, test)
    if not found or not found.found:
        return said, {}
    draw_worst(found, workdir / 'segmentation.png')
    order = 'the worst first' if any(found.truth) else 'any in which nothing was found first'
    figures = {f'Segmentation of the test cells, {order}': workdir / 'segmentation.png'}
    return {**said, **segmentation_scores.summary(found)}, figures


def draw_worst(found: Judged, path: Path, title: str = '') -> None:
    """Writes the sheet of the worst cells."""
    outlines.sheet([_outlined(found, place) for place in found.worst(SHOWN)], path, title=title)


def save(run: Classical, folder: Path, facts: dict[str, Any]) -> None:
    """Writes the model folder; `facts` are added to the run's own."""
    with checkpoints.replacing(folder, {**run.facts, **facts}) as part:
        classifier_file.write(part / CLASSIFIER, run.estimator)
        if run.body:
            form = trained.describe(run.body.model.name, run.body.options, (), run.body.model.input)
            checkpoints.write(part / BODY, run.body.variables, form)


def load(path: Path) -> Classical:
    """The system in a run folder, or in its model/ folder; UserError if there is none."""
    folder = trained.place(path)
    facts = checkpoints.read_facts(folder)
    system = System(**{name: _tuple(part) for name, part in facts['system'].items()})
    body = None
    if NETWORK in system.features:
        network = trained.load(folder / BODY)
        body = Body(network.model, network.variables, network.facts['network']['options'])
    return Classical(system, classifier_file.read(folder / CLASSIFIER), body, tuple(facts['classes']), facts)


def _tuple(part: Any) -> Any:
    return tuple(part) if isinstance(part, list) else part


def _body(setting: Setting) -> tuple[Body, str]:
    """The network that the config names, without its last layers, and where its variables come from."""
    config = setting.config
    options = {name: value for name, value in network_options(config).items() if name not in ('head', 'dropout')}
    if models.cut(config.model.name, 1, **options) is None:
        raise UserError(
            f'config.model.name={config.model.name}: is no linen module, so its last layers cannot be left out; '
            "choose another, or leave 'network' out of config.baseline.features"
        )
    model = models.create(config.model.name, 0, **options)
    key = jax.random.fold_in(jax.random.key(config.seed), 2**31)
    if not setting.source:
        return Body(model, model.init(key), options), setting.start
    variables, start = trained.start_from(setting.source, model, (), key)
    return Body(model, variables, options), f'imagenet: {start}' if setting.start == 'imagenet' else start


def _outlined(found: Judged, place: int) -> outlines.Outlined:
    parts, known = found.found[place], found.truth[place]
    words = [found.cells.names[place].rpartition('/')[2]]
    if not parts.found:
        words.append('nothing found')
    elif known is not None:
        words.append('Dice: nucleus {:.2f}, cell {:.2f}'.format(*found.scores[place, :2]))
    masks: Sequence[Any] = (known.nucleus, known.cell) if known else ()
    return outlines.Outlined(found.cells.images[place], (parts.nucleus, parts.cell), masks, '\n'.join(words))
