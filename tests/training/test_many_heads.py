"""Heads that are trained in one program against each of them trained alone, by the step and batches of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import variables_of

from alljax.models import Input, Model
from alljax.models.head import Head, Linear
from alljax.models.trees import flatten
from alljax.training import loop, many_heads, optimizer
from alljax.training.loop import Schedule
from alljax.training.many_heads import HeadTraining, Recipe
from alljax.training.optimizer import OptimizerOptions
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

CELLS, FEATURES = 30, 12
RNG = np.random.default_rng(0)
ROWS = jnp.asarray(RNG.normal(size=(CELLS, FEATURES)), jnp.float32)
FACTORS = {'head/hidden/kernel': 2.0, 'head/hidden/bias': 2.0, 'head/logits/kernel': 1.0, 'head/logits/bias': 1.0}
SGD = OptimizerOptions(rate=0.05, clip=1.0)


def head(module):
    def apply(variables, rows, **options):
        return module.apply({'params': variables['params']['head']}, rows, **options)

    return Model('head', lambda key: {'params': {'head': module.init(key, ROWS)['params']}}, apply, Input(8))


def of_width(variables, classes):
    leaves = flatten(variables['params'])
    if 'head/hidden/bias' not in leaves:
        return head(Linear(classes))
    return head(Head(classes, leaves['head/hidden/bias'].shape[0]))


def training(model, classes, *, seed=0, cells=CELLS, batch=8, epochs=3, options=SGD):
    rng = np.random.default_rng(seed)
    schedule = Schedule(rng.permutation(CELLS)[:cells], batch, epochs, 0, seed, 0.0)
    steps = epochs * schedule.steps_per_epoch
    return HeadTraining(
        variables_of(model.init, seed),
        jnp.asarray(rng.integers(0, classes, CELLS), jnp.int32),
        jnp.concatenate([jnp.asarray(loop.batches(schedule, epoch)) for epoch in range(epochs)]),
        jnp.asarray(optimizer.rates(options, steps, schedule.steps_per_epoch)),
        jnp.asarray(rng.uniform(0.5, 2, classes), jnp.float32),
        seed,
    )


def alone(model, one, recipe, options):
    """As runs.network trains it."""
    steps = len(one.batches)
    update = optimizer.make(options, recipe.factors, steps, 4)
    weights = one.class_weights
    setup = TrainingSetup(model, update, lambda rows, key: rows, recipe.factors, weights, one.seed, recipe.smoothing)
    step, state, losses = make_step(setup), initial_state(setup, jax.tree.map(jnp.copy, one.variables)), []
    for chosen in one.batches:
        state, metrics = step(state, Batch(ROWS, one.labels, chosen))
        losses.append((float(metrics.loss), int(metrics.correct), int(metrics.cells)))
    return state, losses


def assert_as_alone(trained, model, one, recipe, options=SGD):
    state, losses = alone(model, one, recipe, options)
    assert jax.tree.structure(trained.state) == jax.tree.structure(state)
    for ours, single in zip(jax.tree.leaves(trained.state), jax.tree.leaves(state), strict=True):
        assert ours.shape == single.shape
        np.testing.assert_allclose(ours, single, rtol=1e-5, atol=1e-5)
    found = np.stack([trained.losses, trained.correct, trained.cells], axis=1)
    np.testing.assert_allclose(found, losses, rtol=1e-5, atol=1e-5)
    logits, expected = (model.apply(variables, ROWS) for variables in (trained.state.variables, state.variables))
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_heads_of_all_widths_classes_folds_seeds_and_rates_are_as_trained_alone():
    options = [SGD, SGD._replace(rate=0.01, schedule='cosine')]
    cases = [
        (head(Head(4, 16)), 4, {}),
        (
            head(Head(2, 5)),
            2,
            {'seed': 3, 'cells': 21, 'batch': 5, 'options': options[1]},
        ),  # fewer steps
    ]
    ones = [training(model, classes, **given) for model, classes, given in cases]
    recipe = Recipe(SGD, FACTORS)
    found = many_heads.train(of_width, ROWS, ones, recipe)
    for trained, (model, _, given), one in zip(found, cases, ones, strict=True):
        assert_as_alone(trained, model, one, recipe, given.get('options', SGD))


def test_another_optimizer_and_smoothed_labels_are_as_alone_too():
    options, smoothing = OptimizerOptions('adamw', rate=0.01), 0.1
    models_ = [head(Head(3, width)) for width in (7, 4)]
    ones = [training(model, 3, seed=seed, options=options) for seed, model in enumerate(models_)]
    recipe = Recipe(options, FACTORS, smoothing)
    found = many_heads.train(of_width, ROWS, ones, recipe, cache=1.0)  # after each other in one program
    for trained, model, one in zip(found, models_, ones, strict=True):
        assert_as_alone(trained, model, one, recipe, options)


def test_what_fills_a_narrow_head_up_stays_zero():
    ones = [training(head(Head(4, 16)), 4), training(head(Head(2, 5)), 2, seed=1)]
    filled = many_heads._filled(ones)
    model = of_width(jax.tree.map(lambda leaf: leaf[0], filled.variables), 4)
    narrow = jax.tree.map(lambda leaf: leaf[1], filled)
    state, _ = many_heads._train_one(model, Recipe(SGD, FACTORS), ROWS, False, narrow, jnp.int32(2))
    kernel = np.asarray(state.variables['params']['head']['hidden']['kernel'])
    assert not kernel[:, 5:].any()
    assert kernel[:, :5].any()
    logits = state.variables['params']['head']['logits']
    assert not np.asarray(logits['kernel'])[:, 2:].any()
    assert not np.asarray(logits['bias'])[2:].any()


def test_heads_that_have_no_place_together_are_trained_after_each_other():
    ones = [training(head(Linear(2)), 2, seed=seed) for seed in range(2)]
    assert many_heads._together(ones, 1.0) == [[0], [1]]
    size = 4 * sum(leaf.nbytes for leaf in jax.tree.leaves(ones[0].variables))
    assert many_heads._together(ones, 2.0 * size) == [[0, 1]]
    recipe = Recipe(SGD, dict.fromkeys(flatten(ones[0].variables['params']), 1.0))
    for trained, one in zip(many_heads.train(of_width, ROWS, ones, recipe, 1.0), ones, strict=True):
        assert_as_alone(trained, head(Linear(2)), one, recipe)


def test_smoothed_labels_of_different_classes_are_refused():
    ones = [training(head(Linear(classes)), classes) for classes in (2, 3)]
    with pytest.raises(ValueError, match='same number of classes'):
        many_heads.train(of_width, ROWS, ones, Recipe(SGD, {'head/logits/kernel': 1.0}, 0.1))
