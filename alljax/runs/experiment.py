"""One run, start to finish: load, split, create, fit, evaluate, report."""

import logging
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

import alljax
from alljax import config as fields
from alljax import models
from alljax.config.resolve import Setting, settle
from alljax.data import datasets
from alljax.data.cells import Cells
from alljax.data.protocol import divide
from alljax.data.split import Split, class_weights, equalize
from alljax.errors import UserError
from alljax.models import Model, Variables
from alljax.models.trees import flatten
from alljax.runs import classical_system, results, trained
from alljax.storage import cache
from alljax.storage import checkpoints as trees
from alljax.storage import run_folder as folders
from alljax.training import inference, loop, metrics_log, optimizer, rate_factors
from alljax.training.inputs import Feed, feed, network_options, whole
from alljax.training.step import init, make_step

log = logging.getLogger(__name__)
DEMO = (
    'DEMO on synthetic cells: the numbers of this run say nothing about leukaemia. '
    'Name your ALL-IDB2 with --config.data.root=DIR or $ALLJAX_DATA.'
)


class Outcome(NamedTuple):
    """What a trained network or a fitted system says of the test cells, and about itself."""

    found: results.Results
    logits: Float[np.ndarray, 'test classes']
    figures: dict[str, Path]  # heading in the report -> PNG file


def run(config: ConfigDict, config_file: str, given: Collection[str] = (), workdir: Path | None = None) -> Path:
    """Trains and evaluates what the config says, or goes on with it, and returns the run folder.

    `given` names the fields that the user set: they win over the config's `when` table.
    """
    setting = settle(config, given, folders.earlier(workdir))
    config, demo = setting.config, setting.demo
    cache.keep_compiled_programs()
    workdir = workdir or folders.default(config_file, datasets.choose(config.data), demo)
    with folders.opened(workdir, fields.flat(config)):
        if demo:
            log.warning(DEMO)
        sources = datasets.load(config.data, config.seed)
        for note in sources.origin.notes:
            log.warning(note)
        cells, parts = divide(sources, config, config.seed)
        log.info('%d cells of %d groups, %d copies: %d train, %d validate, %d test; in %s', len(sources),
                 len(cells.group_names), len(cells) - len(sources), len(parts.train), len(parts.validation),
                 len(parts.test), workdir)  # fmt: skip
        if folders.is_finished(workdir):
            log.info('this run is finished: evaluating it again')
        of = of_system if config.baseline.system else of_network
        found, logits, figures = of(setting, cells, parts, workdir)
        evaluate(setting, sources, cells, parts, workdir, found, logits, figures)
    return workdir


def of_network(setting: Setting, cells: Cells, parts: Split, workdir: Path) -> Outcome:
    """Trains the network, or takes the trained one of a finished run, and asks it for the test cells."""
    config = setting.config
    log.info('start: %s', setting.start)
    model = create(config, cells)
    if folders.is_finished(workdir):
        found, variables = finished(workdir, cells), trained.load(workdir).variables
        fed = feed(config, model, cells, variables, factors(config, variables))
    else:
        variables, start = first_variables(setting, model, cells)
        rates = factors(config, variables)
        fed = feed(config, model, cells, variables, rates)
        found = {'model': about_model(model, start, variables, rates)}
        found['train'], changed = train(config, fed, rates, cells, parts, workdir)
        variables = whole(variables, changed)
        keep(config, model, cells, workdir, found, variables)
    whole_logits = fed.logits if fed.model is model else inference.make_logits(model)
    forward = inference.seconds_a_cell(whole_logits, variables, jnp.asarray(cells.images[: config.batch_size]))
    logits = inference.run(fed.logits, variables, fed.images, parts.test, config.batch_size)
    return Outcome({**found, 'seconds_a_cell': {'prediction': forward}}, logits, {})


def of_system(setting: Setting, cells: Cells, parts: Split, workdir: Path) -> Outcome:
    """Fits the classical system, or takes the fitted one of a finished run, and asks it for the test cells."""
    config, test = setting.config, cells.take(parts.test)
    if folders.is_finished(workdir):
        finished(workdir, cells)
        system = classical_system.load(workdir)
    else:
        system = classical_system.fit(setting, cells, parts)
        classical_system.save(system, workdir / 'model', facts(config, cells))
    rows = classical_system.measured(system.system, system.body, test.images, config.batch_size)
    segmentation, figures = classical_system.judge(system.system, rows, test, workdir)
    found = {
        **{part: system.facts[part] for part in ('model', 'train')},
        'segmentation': segmentation,
        'seconds_a_cell': classical_system.seconds_a_cell(system, rows, test.images),
    }
    return Outcome(found, np.log(np.maximum(classical_system.probabilities(system, rows.values), 1e-12)), figures)


def train(
    config: ConfigDict, fed: Feed, rates: dict[str, float], cells: Cells, parts: Split, workdir: Path
) -> tuple[results.Results, Variables]:
    """Fits the parameters that have rates, from the last checkpoint if there is one.

    Returns the `train` part of results.json and the chosen variables.
    """
    plan = make_plan(config, cells, parts)
    update = optimizer.make(config.optimizer, rates, plan.epochs * plan.batches, plan.batches)
    weights = loss_weights(config, cells, parts)
    step = make_step(fed.model, update, fed.prepare, rates, weights, config.seed)
    state = init(fed.variables, update, rates)
    need_space(state, workdir)
    checkpoints = trees.Checkpoints(workdir / 'checkpoints')
    course, resumed = loop.Course(state, None, 0.0), checkpoints.latest()
    if resumed:
        tree, position = resumed
        same_data(position['fingerprint'], cells, workdir)
        course = loop.restore(tree, position, state)
        log.info('going on after step %d', position['step'])
    rows = metrics_log.Records(workdir, int(course.state.step))
    try:
        validate = validation(config, fed, cells, parts)
        labels = jnp.asarray(cells.labels)
        course = loop.fit(step, course, fed.images, labels, plan, validate, rows, checkpoints, facts(config, cells))
    finally:
        rows.close()
        checkpoints.close()
    found = about_training(plan, course)
    found['resumed_after_step'] = resumed[1]['step'] if resumed else None
    return found, course.best.variables if course.best else course.state.variables


def keep(
    config: ConfigDict, model: Model, cells: Cells, workdir: Path, found: results.Results, variables: Variables
) -> None:
    """Writes the model folder, which is all that prediction needs."""
    about = trained.describe(model.name, network_options(config), cells.classes, model.input)
    data = {'data_size': config.data.size, 'denoise': config.data.denoise, 'synthetic': cells.origin.synthetic}
    trees.write(workdir / 'model', variables, {**about, **facts(config, cells), **data, **found})


def facts(config: ConfigDict, cells: Cells) -> dict[str, Any]:
    """What a checkpoint and a model say of their run."""
    return {'fingerprint': cells.origin.fingerprint, 'seed': config.seed}


def factors(config: ConfigDict, variables: Variables) -> dict[str, float]:
    """The factor on the learning rate of each trained parameter."""
    names = list(flatten(variables['params']))
    found = rate_factors.factors(names, config.optimizer.factors, config.model.freeze)
    return {name: factor for name, factor in found.items() if factor}


def about_training(plan: loop.Plan, course: loop.Course) -> results.Results:
    """The `train` part of results.json."""
    steps, best = int(course.state.step), course.best
    return {
        'epochs': steps / plan.batches,
        'steps': steps,
        'seconds': round(course.seconds, 1),
        'images_per_second': round(steps / plan.batches * len(plan.train) / course.seconds, 1),
        'cells_an_epoch': len(plan.train),
        'chosen': f'epoch {best.epoch}, of the lowest validation loss' if best else 'the last epoch',
        'best_epoch': best.epoch if best else None,
    }


def about_model(model: Model, start: str, variables: Variables, trained_names: Collection[str]) -> results.Results:
    """The `model` part of results.json."""
    sizes = {name: leaf.size for name, leaf in flatten(variables['params']).items()}
    return {
        'name': model.name,
        'init': start,
        'parameters': sum(sizes.values()),
        'trained_parameters': sum(sizes[name] for name in trained_names),
        'input': [model.input.size, model.input.size, 3],
        'color': model.input.color,
    }


def evaluate(
    setting: Setting,
    sources: Cells,
    cells: Cells,
    parts: Split,
    workdir: Path,
    found: results.Results,
    logits: Float[np.ndarray, 'test classes'],
    figures: dict[str, Path],
) -> None:
    """Scores the test side and writes all that the run folder shows."""
    config = setting.config
    test = cells.take(parts.test)
    scores = results.score(test, logits)
    whole = {
        'alljax': alljax.__version__,
        'command': results.command(),
        'demo': setting.demo,
        'data': results.about_data(sources),
        'split': {**results.about_split(cells, parts), 'copies': len(cells) - len(sources)},
        'test': scores,
        **found,
        'seed': config.seed,
        'environment': results.environment(),
    }
    history = metrics_log.read(workdir / 'metrics.jsonl')
    results.write(workdir, whole, test, logits, history, found['train'].get('best_epoch'), figures)
    low, high = scores['accuracy_ci95']['wilson']
    marks = ', '.join(['synthetic cells'] * cells.origin.synthetic + ['leaky split'] * parts.leaky)
    log.info('test accuracy %.1f %% (95 %% interval %.1f to %.1f) on %d cells%s', 100 * scores['accuracy'], 100 * low,
             100 * high, len(test), f' [{marks}]' if marks else '')  # fmt: skip
    log.info('see %s', workdir / 'report.html')


def finished(workdir: Path, cells: Cells) -> results.Results:
    """What a finished run has to say about its training."""
    facts = trees.read_facts(workdir / 'model')
    same_data(facts['fingerprint'], cells, workdir)
    return {'train': facts['train'], 'model': facts['model']}


def create(config: ConfigDict, cells: Cells) -> Model:
    """The config's network for the classes of the cells."""
    return models.create(config.model.name, len(cells.classes), **network_options(config))


def first_variables(setting: Setting, model: Model, cells: Cells) -> tuple[Variables, str]:
    """The variables to start from, and how they came about."""
    key = jax.random.fold_in(jax.random.key(setting.config.seed), 2**31)  # no step's key
    if not setting.source:
        return model.init(key), setting.start
    variables, start = trained.start_from(setting.source, model, cells.classes, key)
    return variables, f'imagenet: {start}' if setting.start == 'imagenet' else start


def make_plan(config: ConfigDict, cells: Cells, parts: Split) -> loop.Plan:
    """What to train on and for how long."""
    index = equalize(cells.labels, parts.train, config.data.equalize, config.seed)
    return loop.Plan(
        index, config.batch_size, config.epochs, config.stop.patience, config.seed, config.checkpoint.seconds,
        config.gradients.every,
    )  # fmt: skip


def loss_weights(config: ConfigDict, cells: Cells, parts: Split) -> Array:
    """The weight of each class in the loss."""
    return jnp.asarray(class_weights(cells.labels, parts.train, config.data.equalize, len(cells.classes)))


def validation(config: ConfigDict, fed: Feed, cells: Cells, parts: Split) -> loop.Validate | None:
    """Mean loss and accuracy on the validation fold, if there is one."""
    if not len(parts.validation):
        return None
    labels = cells.labels[parts.validation]

    def validate(variables: Variables) -> tuple[float, float]:
        logits = inference.run(fed.logits, variables, fed.images, parts.validation, config.batch_size)
        losses = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), jnp.asarray(labels))
        return float(losses.mean()), float(np.mean(logits.argmax(1) == labels))

    return validate


def same_data(fingerprint: str, cells: Cells, workdir: Path) -> None:
    """UserError if a run was on other cells than these."""
    if fingerprint != cells.origin.fingerprint:
        raise UserError(
            f'--workdir={workdir}: was trained on other cells than those now in {cells.origin.root} (a file, label or '
            'group has changed); restore them, or start a new --workdir'
        )


def need_space(state: Any, workdir: Path) -> None:
    """UserError if the disk cannot hold what the run will save: two checkpoints, each with the best, and the model."""
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    need, free = 3 * size + size // 2, shutil.disk_usage(workdir).free
    if free < need:
        raise UserError(
            f'--workdir={workdir}: has {free / 1e9:.1f} GB free, checkpoints need {need / 1e9:.1f} GB; free some, or '
            'choose a --workdir on another disk'
        )
