"""A network as a kind of run: it learns by gradient descent from a given start."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from alljax.config.plan import Plan
from alljax.data import training_likeness
from alljax.data.cells import Cells
from alljax.data.split import Split, balanced_chances, equalize
from alljax.evaluation import formatting
from alljax.models import Model, Variables
from alljax.runs import (
    data_check,
    initial_variables,
    model_check,
    network_options,
    network_results,
    network_validation,
    prediction_views,
    run_cells,
    training_start,
    transduction,
)
from alljax.runs.prediction_views import Predict
from alljax.runs.results import Results, TestOutput
from alljax.runs.training_start import TrainingStart
from alljax.storage import hosts, model_folder
from alljax.storage.card import Card
from alljax.storage.checkpoints import Checkpoints, need_space
from alljax.storage.streamed_pictures import Pictures
from alljax.training import (
    devices,
    gradient_watch,
    inference,
    inputs,
    learning_rate_factors,
    loop,
    metrics_log,
    new_statistics,
    optimizer,
)
from alljax.training.inputs import Inputs, NetworkInTraining
from alljax.training.monitored_step import make_monitored_step
from alljax.training.progress import Progress, placed, restore
from alljax.training.step import initial_state, make_epoch, make_step

log = logging.getLogger(__name__)

Factors = Mapping[str, float]  # trained parameter → factor on its learning rate


class TrainedNetwork(NamedTuple):
    """A network with its variables and the card of its model folder."""

    model: Model
    variables: Variables
    card: Card
    inputs: Inputs | None = None  # of the run that has just trained it
    folder: Path | None = None  # that it was loaded from

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the logits."""
        return self.card.classes

    @property
    def whose(self) -> str:
        """The model, as a message names it."""
        return str(self.folder or self.model.name)


def load(path: Path) -> TrainedNetwork:
    """The network in a run folder, its model/ folder or the cache of weights; UserError if there is none."""
    folder = model_folder.find(path)
    card = model_folder.read_card(folder)
    spec, form = card.expect_network(path)
    model_check.known_preparation(card, folder)
    variables = model_folder.read_variables(folder)
    model = model_check.made(spec, len(card.classes), variables, folder)._replace(input=form)
    return TrainedNetwork(model, variables, card, folder=folder)


def fit(plan: Plan, cells: Cells, parts: Split, folder: Path) -> TrainedNetwork:
    """The network of a plan, trained to the end and kept in the folder's model/.

    It goes on from the last checkpoint, if the folder has one. The card holds the `model` and `train` parts of
    results.json.
    """
    log.info('start: %s', plan.start.how)
    (model, variables, origin, factors), fed = ready(plan, cells, parts)
    found, changed = train(plan, fed, factors, cells, parts, folder)
    sets = initial_variables.trained_on(plan)
    card = Card(
        classes=cells.classes,
        network=plan.network,
        input=model.input,
        data_size=plan.data.size,
        denoise=plan.data.denoise,
        cell_preparation=plan.preparation,
        synthetic=cells.origin.synthetic,
        fingerprint=cells.origin.fingerprint,
        seed=plan.seed,
        trained_on=initial_variables.with_source(sets, plan, cells.origin),
        pictures=training_likeness.of_cells(cells, parts.train),
        model={
            **network_results.about_model(model, origin, variables, factors),
            **({'trained_on': list(sets)} if sets else {}),
        },
        train={**found, **network_options.said(plan)},
        transductive=training_start.TRANSDUCTIVE.get(plan.training.statistics, ''),
        views=plan.views,
    )
    variables = inputs.merge_trained(variables, changed)
    model_folder.write(folder / 'model', variables, card)
    return TrainedNetwork(model, variables, card, fed)


def take_part(plan: Plan, cells: Cells, parts: Split, folder: Path) -> None:
    """The training of `fit` in a process that has others beside the first: it keeps no model, which that one does."""
    start, fed = ready(plan, cells, parts)
    train(plan, fed, start.factors, cells, parts, folder)


def ready(plan: Plan, cells: Cells, parts: Split) -> tuple[TrainingStart, Inputs]:
    """A plan's network before its first step, the same in all processes, and the data that it takes."""
    with hosts.in_turn('weights'):
        start = training_start.of_plan(plan, cells, parts)
    start = start._replace(variables=devices.of_first(start.variables))
    with hosts.in_turn('features'):
        return start, inputs_of(plan, start.model, start.variables, cells, start.factors)


def predictor(run: TrainedNetwork, whole: inference.Logits | None = None) -> Predict:
    """The function from images and a batch size to the probability of each class, averaged over the views of its card.

    `whole` is the jitted forward pass, where there is one already.
    """
    logits_of = whole or inference.make_logits(run.model)

    def probabilities(images: Pictures, batch_size: int) -> Float[np.ndarray, 'cells classes']:
        logits = inference.run(logits_of, run.variables, images, np.arange(len(images)), batch_size)
        return inference.probabilities(logits, run.whose)

    return prediction_views.averaged(probabilities, run.card)


def asks(run: TrainedNetwork, whole: inference.Logits, batch_size: int) -> transduction.Ask:
    """The function from variables and images to logits, those of the averaged probabilities if the card names views.

    `whole` is the jitted forward pass.
    """

    def ask(variables: Variables, images: Pictures) -> Float[np.ndarray, 'cells classes']:
        if run.card.views:
            ours = run._replace(variables=variables)
            return prediction_views.logarithms(predictor(ours, whole)(images, batch_size))
        return inference.run(whole, variables, images, np.arange(len(images)), batch_size)

    return ask


def cached_predictor(run: TrainedNetwork, plan: Plan, fed: Inputs) -> Predict:
    """The `predictor` of a run's own scoring: where the head alone was trained, features of pictures are cached."""
    halves = plan.network.cut(len(run.classes)) if fed.model is not run.model else None
    if halves is None:
        return predictor(run, fed.logits)

    def probabilities(images: Pictures, batch_size: int) -> Float[np.ndarray, 'cells classes']:
        features = inputs.body_features(plan.network, halves[0], run.variables, images, batch_size)
        logits = inference.run(fed.logits, run.variables, features, np.arange(len(images)), batch_size)
        return inference.probabilities(logits, run.whose)

    return prediction_views.averaged(probabilities, run.card)


def score(run: TrainedNetwork, plan: Plan, cells: Cells, parts: Split, folder: Path) -> TestOutput:
    """The logits of the test cells, and what the run says about itself."""
    data_check.same_data(run.card.fingerprint, cells, folder)
    fed = run.inputs
    if fed is None:
        factors = learning_rate_factors.trained(run.variables['params'], plan.training.factors, plan.training.freeze)
        fed = inputs_of(plan, run.model, run.variables, cells, factors)
    whole = fed.logits if fed.model is run.model else inference.make_logits(run.model)
    forward = inference.seconds_a_cell(whole, run.variables, jnp.asarray(cells.images[: plan.batch_size]))
    views = run.card.views
    seconds = forward * (views.pictures if views else 1)
    found = {'model': run.card.model, 'train': run.card.train, 'seconds_a_cell': {'prediction': seconds}}
    found |= prediction_views.about(run.card)
    if run.card.transductive:
        ask, test = asks(run, whole, plan.batch_size), cells.take(parts.test)
        logits, found['transductive'] = transduction.logits_by_set(
            run.model, run.variables, test, run.card.transductive, ask
        )
    elif views:
        shares = cached_predictor(run, plan, fed)(cells.take(parts.test).images, plan.batch_size)
        logits = prediction_views.logarithms(shares)
    else:
        logits = inference.run(fed.logits, run.variables, fed.images, parts.test, plan.batch_size)
    return TestOutput(found, inference.finite(logits, folder / 'model'), {})


def adapted(run: TrainedNetwork, images: Pictures) -> TrainedNetwork:
    """The network with the batch statistics of the images that it will be asked about, if it was tested so."""
    if not run.card.transductive:
        return run
    return run._replace(variables=new_statistics.adapted(run.model, run.variables, images))


def inputs_of(plan: Plan, model: Model, variables: Variables, cells: Cells, factors: Factors) -> Inputs:
    """The data that the network takes, for a plan: images or features."""
    network = NetworkInTraining(plan.network, len(cells.classes), model, factors)
    return inputs.make_inputs(network, variables, cells.images, plan.augmentation, plan.batch_size)


def train(
    plan: Plan, fed: Inputs, factors: Factors, cells: Cells, parts: Split, folder: Path
) -> tuple[Results, Variables]:
    """Fits the parameters that have factors, from the last checkpoint if there is one.

    Returns the `train` part of results.json and the chosen variables.
    """
    schedule = schedule_of(plan, cells, parts)
    epoch = schedule.steps_per_epoch
    update = optimizer.make(plan.training.optimizer, factors, schedule.epochs * epoch, epoch)
    setup, groups = network_options.training_setup(plan, fed, update, factors, cells, parts)
    labels, steps = jnp.asarray(cells.labels), loop.Steps(make_step(setup))
    if schedule.gradients_every:
        look = gradient_watch.make_look(setup, fed, labels, parts.train, plan.training.gradients_curvature)
        steps = loop.Steps(steps.plain, make_monitored_step(setup), look)
    elif jax.default_backend() != 'cpu':
        steps = steps._replace(epoch=make_epoch(setup))
    first = initial_state(setup, fed.variables)
    need_space(first, folder)
    checkpoints = Checkpoints(folder / 'checkpoints')
    progress, resumed = Progress(first, None, 0.0), checkpoints.latest()
    if resumed:
        tree, position = resumed
        data_check.same_data(position['fingerprint'], cells, folder)
        progress = restore(tree, position, first)
        log.info('going on after step %d', position['step'])
    progress = placed(progress, setup.mesh)
    metrics = metrics_log.opened(folder, int(progress.state.step))
    validate = network_validation.validation(plan.batch_size, fed, cells, parts)
    files = loop.Files(metrics, checkpoints, data_check.facts(plan, cells))
    try:
        own = inputs.batch_source(fed, labels, groups, setup.mesh)
        progress = loop.fit(steps, progress, own, schedule, validate, files)
    finally:
        files.metrics.close()
        checkpoints.close()
    found = network_results.about_training(schedule, progress)
    found['accuracy'] = metrics_log.training_accuracy(folder / 'metrics.jsonl', found['best_epoch'])
    found |= network_results.about_start(resumed[1] if resumed else {})
    chosen = progress.best.variables if progress.best else progress.state.evaluation_variables
    return found, devices.of_this_process(chosen)


def schedule_of(plan: Plan, cells: Cells, parts: Split) -> loop.Schedule:
    """The cells to train on, in what batches and for how long."""
    how = plan.training
    train = equalize(cells.labels, parts.train, how.equalize, plan.seed)
    return loop.Schedule(
        train=train,
        batch_size=plan.batch_size,
        epochs=how.epochs,
        patience=how.patience,
        seed=plan.seed,
        save_seconds=how.save_seconds,
        gradients_every=how.gradients_every,
        chances=balanced_chances(cells.labels[train], cells.groups[train]) if how.equalize == 'batches' else None,
    )


def training_words(plan: Plan, cells: Cells, parts: Split, sources: int) -> str:
    """The training side in words, '295 cells + 428 copies, 195 an epoch'; the first so many cells are no copies."""
    copies = run_cells.training_copies(cells, parts, sources)
    return formatting.training_cells(len(parts.train) - copies, copies, len(schedule_of(plan, cells, parts).train))


def cut_batch_size(plan: Plan, cells: Cells, parts: Split) -> Plan:
    """The plan with a batch no larger than an epoch, saying so if it was: what fills it up costs memory for nothing."""
    most = len(equalize(cells.labels, parts.train, plan.training.equalize, plan.seed))
    if plan.batch_size <= most or plan.candidates:  # which have batches of their own
        return plan
    log.warning('--config.batch_size=%d is cut to %d: an epoch has no more cells (of %d that train, by '
                '--config.data.equalize=%s)', plan.batch_size, most, len(parts.train),
                plan.training.equalize)  # fmt: skip
    return plan._replace(batch_size=most)
