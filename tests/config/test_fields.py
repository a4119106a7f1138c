"""Every field of a config changes something: its value is changed, and what it is for is looked at before and after."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import make_cells, plan_of, variables_of
from PIL import Image

from alljax import config as fields
from alljax.baselines.segment import unet
from alljax.config import resolve
from alljax.config.fields import FIELDS
from alljax.data import datasets
from alljax.data.external import ExternalCells
from alljax.data.protocol import divide
from alljax.data.split import split
from alljax.runs import network as network_run
from alljax.runs import network_options, preparation, run_cells
from alljax.sweep.variants import Sweep, Variant, folds, list_runs
from alljax.training import inputs, learning_rate_factors, optimizer
from configs import common

CELLS = make_cells([0] * 18 + [1] * 12 + [2] * 12, groups=[n // 3 for n in range(42)])
read_once = cache(datasets.load)  # where it is looked at what happens to the cells afterwards


def schedule(config):
    plan = plan_of(config)
    return network_run.schedule_of(plan, CELLS, split(CELLS, plan.split, plan.seed))


def training(config):
    plan = plan_of(config)
    found = split(CELLS, plan.split, plan.seed)
    return [*found, schedule(config).train, network_options.loss_weights(plan, CELLS, found)]


def prepared(config):
    plan = plan_of(config)
    options = {**plan.network.options, 'width': 0.05, 'size': 32}
    model = plan.network._replace(options=options).create(3)
    return inputs.make_prepare(model, plan.augmentation)(jnp.asarray(CELLS.images[:2]), jax.random.key(0))


def divided(config):
    plan = plan_of(config)
    cells, parts = divide(CELLS, plan.split, plan.augmentation, plan.seed)
    return len(cells), parts.train


def groups(config):
    """The groups of four pictures of which two show one cell, in a folder that names no slides."""
    with TemporaryDirectory() as place:
        pictures = CELLS.images[[0, 1, 2, 2]]
        pictures[3, 0, 0] ^= 1
        for name, pixels in zip(('a/1.png', 'a/2.png', 'b/3.png', 'b/4.png'), pictures, strict=True):
            path = Path(place, name)
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
        changes = {'data.name': 'folder', 'data.task': 'classes', 'data.root': place}
        plan = plan_of(fields.with_fields(config, changes))
        cells = datasets.load(plan.data, plan.seed)
        return len(set(cells.groups)), cells.origin.grouping


def pixels(config):
    plan = plan_of(fields.with_fields(config, {'data.name': 'synthetic'}))
    return datasets.load(plan.data, plan.seed).images


def seen(config):
    """Two drawn cells as a model sees them."""
    plan = plan_of(fields.with_fields(config, {'data.name': 'synthetic', 'data.size': 64, 'data.cells': 40}))
    cells = read_once(plan.data, plan.seed)
    how = preparation.with_target(plan.preparation, cells, split(cells, plan.split, plan.seed))
    return preparation.prepare(cells.images[:2], how).images


def runs(config):
    return [sorted(run.items()) for run in folds(config)]


def folders(config):
    return [run.folder for run in list_runs(Sweep('x', [Variant('x', {})], ('grouped',), declared=False), config)]


def network(config):
    model = plan_of(config).network.create(3)
    return model.name, model.input, jax.tree.map(jnp.shape, jax.eval_shape(model.init, jax.random.key(0)))


def dropped(config):
    options = {**plan_of(config).network.options, 'width': 0.05, 'head': 4, 'size': 64}
    model = plan_of(config).network._replace(options=options).create(3)
    variables = variables_of(model.init)
    key = jax.random.key(1)
    return jax.jit(lambda image: model.apply(variables, image, train=True, rngs={'dropout': key}))(
        jnp.ones((1, 64, 64, 3))
    )


def factors(config):
    names = ['conv1/kernel', 'conv1/bias', 'head/logits/kernel']
    training = plan_of(config).training
    return learning_rate_factors.factors(names, training.factors, training.freeze)


def steps(config):
    start = {'head/kernel': jnp.array([3.0, -2.0]), 'head/bias': jnp.array([1.0])}
    update = optimizer.make(plan_of(config).training.optimizer, dict.fromkeys(start, 1.0), 12, 4)
    leaves, state = start, update.init(start)
    for step in range(6):
        gradient = jax.tree.map(lambda leaf, step=step: jnp.cos(leaf + step), leaves)
        updates, state = update.update(gradient, state, leaves)
        leaves = optax.apply_updates(leaves, updates)
    return leaves


def start(config):
    found = resolve.resolve(config, fields.flat(config)).start
    return found.source, found.how.partition(':')[0]


def chosen(config):
    plan = plan_of(config)
    return plan.data.name, plan.data.root, plan.demo


def source(config):
    return plan_of(config).source


def second_set(config):
    return plan_of(config).external


def adapted(config):
    return run_cells.divided(plan_of(config), CELLS, ExternalCells(CELLS, {}, {})).parts.train


def system(config):
    return plan_of(config).system


def learning(config):
    how = plan_of(config).training
    return [how.mixup, how.smoothing, how.average_decay, str(how.group_rate), how.statistics, how.layer_decay,
            how.gradients_curvature, how.precision]  # fmt: skip


def certainty(config):
    return [str(value) for value in plan_of(config).calibration]


def options(config):
    return dict(plan_of(config).network.options)


def views(config):
    return plan_of(config).views


def shown(config):
    return plan_of(config).heat_maps


def ensemble(config):
    plan = plan_of(config)
    return [*plan.ensemble, *(f'{one.name} {one.plan.system}' for one in plan.candidates)]


def measuring(config):
    return [one.network.name for one in plan_of(config).measuring]


def drawn(config):
    plan = plan_of(fields.with_fields(config, {'data.name': 'synthetic'}))
    cells = datasets.load(plan.data, plan.seed)
    return cells.images.shape, cells.classes


def held(config):
    plan = plan_of(fields.with_fields(config, {'data.name': 'synthetic'}))
    return isinstance(read_once(plan.data, plan.seed).images, np.ndarray)


#      field: another value, what to look at, and what has to be set besides
CHANGES = {
    'seed': (1, training, {}),
    'epochs': (3, schedule, {}),
    'batch_size': (5, schedule, {}),
    'data.name': ('synthetic', chosen, {'data.root': '/elsewhere'}),
    'data.root': ('/elsewhere', chosen, {}),
    'data.task': ('detection', drawn, {'data.size': 64, 'data.cells': 40}),
    'data.source': ('Acevedo 2020', source, {}),
    'data.groups': ('audit', groups, {}),
    'data.size': (64, drawn, {'data.cells': 40}),
    'data.device_cache_mb': (0, held, {'data.size': 64, 'data.cells': 40}),
    'data.cells': (44, drawn, {'data.size': 64, 'data.cells': 40}),
    'data.denoise': ('median', pixels, {'data.size': 64, 'data.cells': 40}),
    'data.stain': ('reinhard', seen, {}),
    'data.mask': ('rawat2017', seen, {}),
    'data.mask_part': ('nucleus', seen, {'data.mask': 'rawat2017'}),
    'data.mask_fill': ('blur', seen, {'data.mask': 'rawat2017'}),
    'data.crop': (40, seen, {}),
    'data.color': ('HSV', prepared, {}),
    'data.equalize': ('none', training, {}),
    'split.protocol': ('random', training, {}),
    'split.test': (0.3, training, {}),
    'split.validation': (0.3, training, {}),
    'split.folds': (3, training, {}),
    'split.fold': (1, training, {'split.folds': 3}),
    'split.repeats': (3, runs, {}),
    'split.repeat': (1, training, {'split.repeats': 2}),
    'split.draw': ('shuffled', training, {}),
    'split.all_cells': (True, training, {}),
    'split.final_model': (True, folders, {'split.folds': 3}),
    'split.train_groups': (2, training, {}),
    'split.train_cells': (2, training, {}),
    'test.root': ('/elsewhere', second_set, {}),
    'test.name': ('all_idb2', second_set, {}),
    'test.labels': ('/labels.csv', second_set, {'test.root': '/b'}),
    'test.adapt_cells': (2, adapted, {'test.root': '/b'}),
    'test.adapt_groups': (2, adapted, {'test.root': '/b'}),
    'augment.copies': ('published', divided, {}),
    'augment.rotate': (20.0, prepared, {}),
    'augment.light': (0.5, prepared, {}),
    'augment.mirror': (False, prepared, {}),
    'augment.mixup': (0.4, learning, {}),
    'augment.stain': (0.2, prepared, {}),
    'augment.blur': (1.0, prepared, {}),
    'augment.noise': (5.0, prepared, {}),
    'augment.jpeg': (30, prepared, {}),
    'augment.gray': (1.0, prepared, {}),
    'model.name': ('squeezenet1_1', network, {}),
    'model.init': ('/a/run', start, {}),
    'model.head': (16, network, {}),
    'model.dense': (False, network, {}),
    'model.size': (256, network, {}),
    'model.width': (0.5, network, {}),
    'model.dropout': (0.9, dropped, {}),
    'model.freeze': ('conv.*', factors, {}),
    'model.norm': ('group', options, {}),
    'model.statistics': ('frozen', learning, {}),
    'baseline.system': ('joshi2013', system, {'baseline.system': 'putzu2014'}),
    'baseline.preprocess': (('median',), system, {'baseline.system': 'putzu2014'}),
    'baseline.segment': ('otsu', system, {'baseline.system': 'putzu2014'}),
    'baseline.features': (('glcm',), system, {'baseline.system': 'putzu2014'}),
    'baseline.components': (6, system, {'baseline.system': 'putzu2014'}),
    'baseline.classify': (('knn', 'pnn'), system, {'baseline.system': 'putzu2014'}),
    'baseline.hierarchical': (True, system, {'baseline.system': 'putzu2014'}),
    'baseline.standardize': ('slide', system, {'baseline.system': 'putzu2014'}),
    'baseline.segmentation': (1, system, {'baseline.system': 'putzu2014'}),
    'baseline.weights': (str(unet.SHIPPED), system, {'baseline.system': 'unet'}),
    'baseline.networks': (('resnet18', 'vgg11'), measuring, {'baseline.system': 'vogado2017'}),
    'ensemble.candidates': ((('one', {'baseline.system': 'putzu2014'}),), ensemble, {}),
    'ensemble.choose': ('best', ensemble, {}),
    'ensemble.members': (2, ensemble, {}),
    'ensemble.folds': (3, ensemble, {}),
    'optimizer.name': ('adamw', steps, {}),
    'optimizer.rate': (1e-2, steps, {}),
    'optimizer.factors': ((('.*', 2.0),), factors, {}),
    'optimizer.momentum': (0.5, steps, {}),
    'optimizer.l2': (0.5, steps, {'optimizer.rate': 0.1}),
    'optimizer.schedule': ('cosine', steps, {}),
    'optimizer.warmup': (1.0, steps, {}),
    'optimizer.clip': (0.1, steps, {}),
    'optimizer.layer_decay': (0.5, learning, {}),
    'optimizer.ema': (0.99, learning, {}),
    'precision': ('bf16', learning, {}),
    'loss.smoothing': (0.1, learning, {}),
    'loss.robust': ('group_dro', learning, {}),
    'loss.robust_rate': (0.1, learning, {'loss.robust': 'group_dro'}),
    'stop.patience': (3, schedule, {'split.validation': 0.3}),
    'calibration.fit': ('validation', certainty, {'split.validation': 0.3}),
    'calibration.coverage': (0.8, certainty, {}),
    'calibration.accuracy': (0.9, certainty, {}),
    'calibration.unlike': ('knn', certainty, {}),
    'checkpoint.seconds': (1.0, schedule, {}),
    'gradients.every': (5, schedule, {}),
    'gradients.curvature': (False, learning, {}),
    'predict.turns': (8, views, {}),
    'predict.copies': (2, views, {'augment.stain': 0.1}),
    'report.heat_maps': (False, shown, {}),
}


def same(first, second):
    if jax.tree.structure(first) != jax.tree.structure(second):
        return False
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def with_besides(besides):
    config = common.get_config()
    for field, value in besides:
        fields.set_field(config, field, value)
    return config


@cache
def unchanged(look, besides):
    """What many fields are compared with."""
    return look(with_besides(besides))


@pytest.mark.parametrize('field', CHANGES)
def test_it_changes_something(field):
    value, look, besides = CHANGES[field]
    config = with_besides(besides.items())
    fields.set_field(config, field, value)
    changed = look(config)
    assert not same(unchanged(look, tuple(besides.items())), changed)
    assert same(look(config), changed)


def test_no_field_is_left_out_and_each_is_explained():
    assert set(CHANGES) == set(fields.flat(common.get_config())) == set(FIELDS)
    for name, field in FIELDS.items():
        assert len(field.about) > 10, name
        bounded = isinstance(field.default, int | float) and not isinstance(field.default, bool)
        assert (field.low is not None) == (
            bounded or (isinstance(field.example, int | float) and field.example is not True)
        ), name
